//! TensorBoard event files: records of length, checksums and a small protocol buffer each.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Writes scalars.
pub(super) struct Events {
    file: BufWriter<File>,
}

impl Events {
    /// A new file.
    pub(super) fn create(path: &Path, wall_secs: f64) -> io::Result<Self> {
        let mut events = Self { file: BufWriter::new(File::create(path)?) };
        let mut event = Vec::new();
        double(&mut event, 1, wall_secs);
        bytes(&mut event, 3, b"brain.Event:2");
        events.record(&event)?;
        Ok(events)
    }

    /// Scalars of one step.
    pub(super) fn scalars<'a>(
        &mut self,
        wall_secs: f64,
        step: u64,
        values: impl Iterator<Item = (&'a str, f64)>,
    ) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut field = Vec::new();
            bytes(&mut field, 1, tag.as_bytes());
            key(&mut field, 2, 5);
            field.extend((value as f32).to_le_bytes());
            bytes(&mut summary, 1, &field);
        }
        let mut event = Vec::new();
        double(&mut event, 1, wall_secs);
        key(&mut event, 2, 0);
        varint(&mut event, step);
        bytes(&mut event, 5, &summary);
        self.record(&event)
    }

    /// Everything so far is in the file.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn record(&mut self, data: &[u8]) -> io::Result<()> {
        let length = (data.len() as u64).to_le_bytes();
        self.file.write_all(&length)?;
        self.file.write_all(&masked(&length).to_le_bytes())?;
        self.file.write_all(data)?;
        self.file.write_all(&masked(data).to_le_bytes())
    }
}

/// The checksum as record files mask it.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field's number and wire type.
fn key(out: &mut Vec<u8>, field: u64, wire: u64) {
    varint(out, field << 3 | wire);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    key(out, field, 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    key(out, field, 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a varint off the front.
    fn take(data: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (byte, rest) = data.split_first().unwrap();
            *data = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }

    /// Fields of a message: number and bytes; numbers of wire type 0 as little-endian bytes.
    fn fields(mut data: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut found = Vec::new();
        while !data.is_empty() {
            let key = take(&mut data);
            let length = match key & 7 {
                0 => {
                    found.push((key >> 3, take(&mut data).to_le_bytes().to_vec()));
                    continue;
                }
                1 => 8,
                5 => 4,
                _ => take(&mut data) as usize,
            };
            let (value, rest) = data.split_at(length);
            found.push((key >> 3, value.to_vec()));
            data = rest;
        }
        found
    }

    #[test]
    fn what_is_written_is_read_by_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut events = Events::create(&path, 1.5).unwrap();
        events.scalars(2.5, 300, [("a/b", 0.25), ("c", -2.0)].into_iter()).unwrap();
        events.flush().unwrap();
        let file = std::fs::read(&path).unwrap();
        let (mut rest, mut records) = (&file[..], Vec::new());
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let sum = |from: usize| u32::from_le_bytes(rest[from..from + 4].try_into().unwrap());
            assert_eq!(sum(8), masked(&rest[..8]));
            assert_eq!(sum(12 + length), masked(&rest[12..12 + length]));
            records.push(fields(&rest[12..12 + length]));
            rest = &rest[16 + length..];
        }
        assert_eq!(records[0][1], (3, b"brain.Event:2".to_vec()));
        assert_eq!(records[1][0], (1, 2.5f64.to_le_bytes().to_vec()));
        assert_eq!(records[1][1], (2, 300u64.to_le_bytes().to_vec()));
        let scalars = fields(&records[1][2].1);
        let first = fields(&scalars[0].1);
        assert_eq!(first, [(1, b"a/b".to_vec()), (2, 0.25f32.to_le_bytes().to_vec())]);
        assert_eq!(scalars.len(), 2);
    }

    /// The known checksum of the known text.
    #[test]
    fn checksums_are_castagnoli() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
    }
}
