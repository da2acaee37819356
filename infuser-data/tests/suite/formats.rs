use std::{io::Write, path::Path};

use infuser_data::suite::{self, Labels, Mapping, Suite};
use parquet::basic::{Compression, ZstdLevel};

use super::{
    layouts::{Files, import},
    parquet_file::{Column, write, write_groups},
};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn columns() -> [Column; 4] {
    [
        Column::texts("question", &["Even?", "Odd?"]),
        Column::lists("choices", &[&["1", "2"], &["2", "4", "5"]]),
        Column::integers("answer", &[1, 2]),
        Column::texts("subject", &["a", ""]),
    ]
}

/// The same two questions from every format, under names that say nothing.
#[test]
fn the_format_is_found_from_the_content() {
    let lines = "{\"question\": \"Even?\", \"choices\": [1, \"2\"], \"answer\": 1, \"subject\": \"a\"}\n\
                 {\"question\": \"Odd?\", \"choices\": [\"2\", \"4\", \"5\"], \"answer\": \"2\"}\n";
    let list = format!("\u{feff} [{}]", lines.trim().replace("}\n", "},\n"));
    let files = Files::new();
    let expected = import("mmlu", &[&files.file("x.json", lines)]).unwrap();
    assert_eq!((expected.items.len(), expected.items[1].subject.as_deref()), (2, None));
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3).unwrap());
    let parquet = [
        write(&columns()),
        write_groups(&columns(), 1, Compression::UNCOMPRESSED),
        write_groups(&columns(), 1, Compression::GZIP(Default::default())),
        write_groups(&columns(), 1, zstd),
    ];
    let texts = [lines.as_bytes().to_vec(), list.into_bytes(), lines.replace('\n', "\r\n").into()];
    for content in texts.into_iter().chain(parquet) {
        for content in [gzip(&content), content] {
            let suite = import("mmlu", &[&files.file("x", content)]).unwrap();
            assert_eq!(suite, expected);
        }
    }
}

#[test]
fn csv_has_a_line_of_names_unless_the_mapping_gives_them() {
    let files = Files::new();
    let rows = "First?,1,2,3,4,B\n";
    let whole = import("mmlu-csv", &[&files.file("x_test.csv", rows)]).unwrap();
    assert_eq!(whole.items.len(), 1);
    let mapping = files.file(
        "named.toml",
        "set = 'mmlu'\ntype = 'mcq'\nquestion = 'q'\n[[choices]]\ncolumns = ['a', 'b']\n\
         [[answer]]\nindex = 'n'\n[[subject]]\ncolumn = 's'\n",
    );
    // An unnamed first column is the row number of a data frame.
    let named = files.file("x.csv", "\u{feff}, q ,a,b,n,s\n0,Even?,1,2,1,x\n1,Odd?,1,2,,\n");
    let suite = import(mapping.to_str().unwrap(), &[&named]).unwrap();
    assert_eq!((suite.items.len(), suite.skipped[0].why.name()), (1, "blank_answer"));
    assert_eq!(suite.items[0].subject.as_deref(), Some("x"));
}

#[test]
fn parquet_levels() {
    let files = Files::new();
    let run = |columns: &[Column], groups| -> Suite {
        let bytes = write_groups(columns, groups, Compression::SNAPPY);
        import("mmlu", &[&files.file("x.parquet", bytes)]).unwrap()
    };
    // Enough rows for several reads, in several groups.
    let count = 10_000;
    let names: Vec<String> = (0..count).map(|i| format!("Question {i}?")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let lists: Vec<&[&str]> =
        (0..count).map(|i| [&["a", "b", "c"][..], &["x", "y"]][i % 2]).collect();
    let answers: Vec<i64> = (0..count as i64).map(|i| i % 2).collect();
    let suite = run(
        &[
            Column::texts("question", &names),
            Column::lists("choices", &lists),
            Column::integers("answer", &answers),
        ],
        3,
    );
    assert_eq!(suite.items.len(), 3 * count);
    for (i, item) in suite.items.iter().enumerate() {
        assert_eq!(item.id, format!("mmlu/test/{i}"));
        assert_eq!(item.question.text(), format!("Question {}?", i % count));
        let suite::Item { question, .. } = item;
        let infuser_data::question::Answer::Choice { choices, correct } = question.answer() else {
            panic!("{item:?}")
        };
        assert_eq!(choices.len(), 3 - i % 2);
        assert_eq!(*correct, i % 2);
    }
    // An empty list, and a null in a list.
    let suite = run(
        &[
            Column::texts("question", &["Empty?", "Full?"]),
            Column::lists("choices", &[&[], &["1", "2"]]),
            Column::integers("answer", &[0, -1]),
        ],
        1,
    );
    assert_eq!(
        suite.skips().into_iter().collect::<Vec<_>>(),
        [("blank_answer", 1), ("too_few_choices", 1)]
    );
}

#[test]
fn ids_count_through_files_and_labels_can_be_given() {
    let files = Files::new();
    let row = "{\"question\": \"2?\", \"answer\": \"#### 2\"}\n";
    let (a, b) = (files.file("a", row.repeat(2)), files.file("b", row));
    let labels = Labels { set: Some("mine".into()), split: None };
    let mapping = Mapping::find("gsm8k").unwrap();
    let suite = suite::import(&mapping, &[&a, &b], &labels).unwrap();
    let ids: Vec<&str> = suite.items.iter().map(|item| item.id.as_str()).collect();
    assert_eq!(ids, ["mine/all/0", "mine/all/1", "mine/all/2"]);
    assert_eq!((&suite.items[0].set[..], &suite.items[0].split[..]), ("mine", "all"));
    let none: [&Path; 0] = [];
    assert_eq!(suite::import(&mapping, &none, &labels).unwrap(), Suite::default());
}
