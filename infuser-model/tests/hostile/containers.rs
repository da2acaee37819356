use std::{fs, path::Path};

use infuser_kernels::Device;
use infuser_model::checkpoint;
use serde_json::{Value, json};

use super::*;

#[test]
fn damaged_containers_are_refused() {
    check_all(
        "qwen3_tied",
        &[
            ("empty", |f| edit_bytes(&f.join(WEIGHTS), Vec::clear), &[WEIGHTS, "empty"]),
            ("7 bytes", |f| edit_bytes(&f.join(WEIGHTS), |b| b.truncate(7)), &[WEIGHTS]),
            ("only a length", |f| edit_bytes(&f.join(WEIGHTS), |b| b.truncate(8)), &[WEIGHTS]),
            (
                "cut in the header",
                |f| edit_bytes(&f.join(WEIGHTS), |b| b.truncate(900)),
                &[WEIGHTS, "cut off"],
            ),
            (
                "cut in the data",
                |f| edit_bytes(&f.join(WEIGHTS), |b| b.truncate(40_000)),
                &[WEIGHTS],
            ),
            (
                "last byte missing",
                |f| edit_bytes(&f.join(WEIGHTS), |b| b.truncate(b.len() - 1)),
                &[WEIGHTS],
            ),
            ("a byte too many", |f| edit_bytes(&f.join(WEIGHTS), |b| b.push(0)), &[WEIGHTS]),
            ("header length 0", |f| set_length(f, 0), &[WEIGHTS]),
            ("header length u64::MAX", |f| set_length(f, u64::MAX), &[WEIGHTS]),
            ("header length u64::MAX - 7", |f| set_length(f, u64::MAX - 7), &[WEIGHTS]),
            ("header length beyond the file", |f| set_length(f, 90_000), &[WEIGHTS]),
            ("header length 100 MB + 1", |f| set_length(f, 100_000_001), &[WEIGHTS, "too large"]),
            ("header length into the data", |f| set_length(f, 2408 + 64), &[WEIGHTS]),
            ("header not JSON", |f| set_header(f, b"not JSON at all"), &[WEIGHTS]),
            ("header not UTF-8", |f| set_header(f, b"{\"\xff\xfe\": 1}"), &[WEIGHTS]),
            ("header a list", |f| set_header(f, b"[1, 2]"), &[WEIGHTS]),
            ("header null", |f| set_header(f, b"null"), &[WEIGHTS]),
            ("header empty object", |f| set_header(f, b"{}"), &[WEIGHTS]),
            ("header of spaces", |f| set_header(f, &[b' '; 4096]), &[WEIGHTS]),
            (
                "header nested deeply",
                |f| set_header(f, "{\"a\":".repeat(100_000).as_bytes()),
                &[WEIGHTS],
            ),
            ("entry nested deeply", |f| set_header(f, &nested_entry()), &[WEIGHTS]),
            (
                "header entry not an object",
                |f| prepend_header(f, "\"a\":7"),
                &[WEIGHTS, "integer `7`"],
            ),
            (
                "metadata not strings",
                |f| prepend_header(f, "\"__metadata__\":{\"a\":7}"),
                &[WEIGHTS],
            ),
            ("not regular files", replace_by_folder, &[WEIGHTS]),
            (
                "pytorch_model.bin only",
                |f| rename(f, WEIGHTS, "pytorch_model.bin"),
                &["safetensors"],
            ),
        ],
    );
}

fn nested_entry() -> Vec<u8> {
    let depth = 100_000;
    format!("{{\"{NORM}\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()
}

fn rename(folder: &Path, from: &str, to: &str) {
    fs::rename(folder.join(from), folder.join(to)).unwrap();
}

fn replace_by_folder(folder: &Path) {
    fs::remove_file(folder.join(WEIGHTS)).unwrap();
    fs::create_dir(folder.join(WEIGHTS)).unwrap();
}

#[test]
fn damaged_tensor_entries_are_refused() {
    check_all(
        "qwen3_tied",
        &[
            ("name twice, same place", |f| repeat_entry(f, 0), &[WEIGHTS, NORM]),
            ("name twice, other place", |f| repeat_entry(f, 128), &[WEIGHTS, NORM]),
            ("start into the one before", |f| move_offset(f, GATE, 0, -4), &[WEIGHTS, GATE]),
            ("a hole before it", |f| move_offset(f, GATE, 0, 4), &[WEIGHTS, GATE]),
            ("end into the next", |f| move_offset(f, GATE, 1, 4), &[WEIGHTS]),
            (
                "two in one place",
                |f| set_field(f, UP, "data_offsets", json!([17536, 22656])),
                &[WEIGHTS],
            ),
            (
                "reversed",
                |f| set_field(f, GATE, "data_offsets", json!([22656, 17536])),
                &[WEIGHTS, GATE],
            ),
            ("negative", |f| set_field(f, GATE, "data_offsets", json!([-8, 17536])), &[WEIGHTS]),
            (
                "past the end",
                |f| set_field(f, NORM, "data_offsets", json!([80576, 1u64 << 40])),
                &[WEIGHTS],
            ),
            (
                "end u64::MAX",
                |f| set_field(f, NORM, "data_offsets", json!([80576, u64::MAX])),
                &[WEIGHTS],
            ),
            ("sizes that sum to almost 2^64", huge_sum, &[WEIGHTS]),
            (
                "data after the last",
                |f| edit_tensors(&f.join(WEIGHTS), |_, d| d.extend([0; 64])),
                &[WEIGHTS],
            ),
            ("data before the first", shift_all, &[WEIGHTS]),
            (
                "three offsets",
                |f| set_field(f, NORM, "data_offsets", json!([80576, 80704, 1])),
                &[WEIGHTS],
            ),
            ("unknown dtype", |f| set_field(f, NORM, "dtype", json!("F33")), &[WEIGHTS]),
            ("I64 of half the axes", |f| retype(f, "I64", json!([16])), &[WEIGHTS, NORM, "I64"]),
            ("I32", |f| retype(f, "I32", json!([32])), &[WEIGHTS, NORM, "I32"]),
            ("F64 of that shape", |f| retype(f, "F64", json!([32])), &[WEIGHTS]),
            ("BF16 of that shape", |f| retype(f, "BF16", json!([32])), &[WEIGHTS]),
            ("F4, half a byte", |f| retype(f, "F4", json!([1])), &[WEIGHTS]),
            ("shape overflows", |f| retype(f, "F32", json!([u64::MAX, 2])), &[WEIGHTS]),
            (
                "shape overflows to its size",
                |f| retype(f, "F32", json!([1u64 << 62, 4, 32])),
                &[WEIGHTS],
            ),
            ("bits overflow", |f| retype(f, "F32", json!([1u64 << 61])), &[WEIGHTS]),
            ("negative axis", |f| retype(f, "F32", json!([-32])), &[WEIGHTS]),
            ("axis a fraction", |f| retype(f, "F32", json!([32.5])), &[WEIGHTS]),
            (
                "shape with an axis more",
                |f| retype(f, "F32", json!([1, 32])),
                &[WEIGHTS, NORM, "[32]"],
            ),
            (
                "shape transposed",
                |f| set_field(f, GATE, "shape", json!([32, 40])),
                &[WEIGHTS, GATE, "[32, 40]", "[40, 32]"],
            ),
            ("no shape", |f| remove_field(f, "shape"), &[WEIGHTS]),
            ("no dtype", |f| remove_field(f, "dtype"), &[WEIGHTS]),
            ("no offsets", |f| remove_field(f, "data_offsets"), &[WEIGHTS]),
            ("missing tensor", drop_last, &[NORM, "missing"]),
            (
                "extra tensor",
                |f| append(f, "model.layers.7.mlp.bias"),
                &[WEIGHTS, "model.layers.7.mlp.bias", "not part of a qwen3 model"],
            ),
            (
                "extra tensor with an odd name",
                |f| append(f, "\u{1F980}\n\0"),
                &[WEIGHTS, "\u{1F980}"],
            ),
            (
                "NORM under another name",
                |f| rename_tensor(f, "norm.weight"),
                &[WEIGHTS, "norm.weight"],
            ),
        ],
    );
}

fn repeat_entry(folder: &Path, back: u64) {
    let place = [80576 - back, 80704 - back];
    let entry = json!({"dtype": "F32", "shape": [32], "data_offsets": place});
    prepend_header(folder, &format!("\"{NORM}\":{entry}"));
}

/// Eight tensors behind each other that end short of 2^64; the header's length overflows it.
fn huge_sum(folder: &Path) {
    edit_tensors(&folder.join(WEIGHTS), |header, _| {
        header.clear();
        for i in 0..8u64 {
            let (size, name) =
                ((1u64 << 61) - 1, format!("model.layers.{i}.input_layernorm.weight"));
            let place = [i * size, (i + 1) * size];
            header.insert(name, json!({"dtype": "U8", "shape": [size], "data_offsets": place}));
        }
    });
}

fn shift_all(folder: &Path) {
    edit_tensors(&folder.join(WEIGHTS), |header, data| {
        for (_, entry) in header.iter_mut().filter(|(name, _)| *name != "__metadata__") {
            let place = [0, 1].map(|end| entry["data_offsets"][end].as_u64().unwrap() + 8);
            entry["data_offsets"] = json!(place);
        }
        data.splice(..0, [0; 8]);
    });
}

fn retype(folder: &Path, dtype: &str, shape: Value) {
    set_field(folder, NORM, "dtype", json!(dtype));
    set_field(folder, NORM, "shape", shape);
}

fn remove_field(folder: &Path, field: &str) {
    edit_tensors(&folder.join(WEIGHTS), |header, _| {
        header[NORM].as_object_mut().unwrap().remove(field);
    });
}

fn drop_last(folder: &Path) {
    edit_tensors(&folder.join(WEIGHTS), |header, data| {
        header.remove(NORM);
        data.truncate(80576);
    });
}

fn append(folder: &Path, name: &str) {
    edit_tensors(&folder.join(WEIGHTS), |header, data| {
        let place = [data.len(), data.len() + 4];
        let entry = json!({"dtype": "F32", "shape": [1], "data_offsets": place});
        header.insert(name.into(), entry);
        data.extend([0; 4]);
    });
}

fn rename_tensor(folder: &Path, to: &str) {
    edit_tensors(&folder.join(WEIGHTS), |header, _| {
        let entry = header.remove(NORM).unwrap();
        header.insert(to.into(), entry);
    });
}

#[test]
fn damaged_shards_are_refused() {
    check_all(
        "qwen3_sharded",
        &[
            ("missing shard", |f| fs::remove_file(f.join(SHARDS[1])).unwrap(), &[INDEX, SHARDS[1]]),
            ("empty shard", |f| edit_bytes(&f.join(SHARDS[1]), Vec::clear), &[SHARDS[1], "empty"]),
            ("cut shard", |f| edit_bytes(&f.join(SHARDS[2]), |b| b.truncate(5000)), &[SHARDS[2]]),
            ("shards swapped", |f| swap_shards(f, SHARDS[0], SHARDS[1]), &[SHARDS[0], "promises"]),
            ("a shard under two names", shard_twice, &["is also in", SHARDS[0]]),
            (
                "index into the parent",
                |f| place(f, "../model.safetensors"),
                &[INDEX, NORM, "../model"],
            ),
            ("index with .", |f| place(f, "."), &[INDEX, NORM]),
            ("index with ..", |f| place(f, ".."), &[INDEX, NORM]),
            ("index with a folder", |f| place(f, "a/model.safetensors"), &[INDEX, NORM]),
            ("index with an empty name", |f| place(f, ""), &[INDEX, NORM]),
            ("index absolute", |f| place(f, "/etc/passwd"), &[INDEX, NORM, "/etc/passwd"]),
            ("index with a zero byte", |f| place(f, "a\0b"), &[INDEX]),
            ("index to the index", |f| place(f, INDEX), &[INDEX]),
            ("index to another shard", |f| place(f, SHARDS[0]), &[SHARDS[0], NORM, "promises"]),
            (
                "tensor only in the index",
                |f| list(f, "model.layers.9.mlp.bias", SHARDS[0]),
                &[SHARDS[0], "model.layers.9.mlp.bias"],
            ),
            ("a tensor less", drop_from_shard, &[SHARDS[2], NORM]),
            ("index not JSON", |f| fs::write(f.join(INDEX), "{").unwrap(), &[INDEX]),
            ("index not UTF-8", |f| fs::write(f.join(INDEX), b"{\"\xff\":1}").unwrap(), &[INDEX]),
            ("index empty", |f| fs::write(f.join(INDEX), "").unwrap(), &[INDEX]),
            (
                "index without a map",
                |f| fs::write(f.join(INDEX), "{}").unwrap(),
                &[INDEX, "weight_map"],
            ),
            (
                "map of numbers",
                |f| fs::write(f.join(INDEX), "{\"weight_map\":{\"a\":1}}").unwrap(),
                &[INDEX],
            ),
            (
                "empty map",
                |f| fs::write(f.join(INDEX), "{\"weight_map\":{}}").unwrap(),
                &["missing"],
            ),
            ("huge index", |f| sparse(&f.join(INDEX), 1 << 40), &[INDEX, "too large"]),
            ("index gone", |f| fs::remove_file(f.join(INDEX)).unwrap(), &[INDEX, WEIGHTS]),
        ],
    );
}

/// Lists `tensor` under `file`.
fn list(folder: &Path, tensor: &str, file: &str) {
    edit_json(&folder.join(INDEX), |index| index["weight_map"][tensor] = json!(file));
}

/// Lists the last norm under `file`.
fn place(folder: &Path, file: &str) {
    list(folder, NORM, file);
}

fn swap_shards(folder: &Path, a: &str, b: &str) {
    rename(folder, a, "kept");
    rename(folder, b, a);
    rename(folder, "kept", b);
}

fn shard_twice(folder: &Path) {
    fs::copy(folder.join(SHARDS[0]), folder.join("other.safetensors")).unwrap();
    list(folder, EMBEDDING, "other.safetensors");
}

fn drop_from_shard(folder: &Path) {
    edit_tensors(&folder.join(SHARDS[2]), |header, _| {
        let entry = header.remove(NORM).unwrap();
        header.insert("x.rotary_emb.inv_freq".into(), entry);
    });
}

#[test]
fn values_that_are_not_finite_are_refused_and_counted() {
    for (model, file, tensor) in [
        ("qwen3_tied", WEIGHTS, EMBEDDING),
        ("qwen3_tied", WEIGHTS, NORM),
        ("qwen3_sharded", SHARDS[2], NORM),
    ] {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let name = format!("{bad} in {tensor} of {model}");
            let folder = copy_of(model);
            set_value(&folder.path().join(file), tensor, 3, bad);
            set_value(&folder.path().join(file), tensor, 31, bad);
            let error = checkpoint::load(folder.path(), Device::Cpu).expect_err(&name);
            let message = error.to_string();
            let complete = [file, tensor, "2 values"].iter().all(|part| message.contains(part));
            assert!(complete && error.is_bad_input(), "{name}: {message}");
            let (_, inventory) = checkpoint::inventory(folder.path()).expect(&name);
            let first = inventory.first_non_finite().map(|t| (t.name.as_str(), t.non_finite));
            assert_eq!(first, Some((tensor, 2)), "{name}");
            let all: usize = inventory.tensors.iter().map(|tensor| tensor.non_finite).sum();
            assert_eq!(all, 2, "{name}");
        }
    }
}
