//! Small Parquet files.

use std::sync::Arc;

use parquet::{
    basic::Compression,
    column::writer::ColumnWriter,
    data_type::ByteArray,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};

/// A column: its schema, and the leaves with their levels.
pub(crate) struct Column {
    schema: String,
    leaves: Vec<Leaf>,
}

enum Leaf {
    Texts { values: Vec<ByteArray>, def: Vec<i16>, rep: Vec<i16> },
    Integers(Vec<i64>),
}

impl Column {
    /// An optional text a row; a blank one is stored as null.
    pub(crate) fn texts(name: &str, values: &[&str]) -> Self {
        let schema = format!("optional binary {name} (STRING);");
        Self { schema, leaves: vec![texts(values, 1)] }
    }

    pub(crate) fn integers(name: &str, values: &[i64]) -> Self {
        let schema = format!("required int64 {name};");
        Self { schema, leaves: vec![Leaf::Integers(values.to_vec())] }
    }

    /// A list of texts a row, in three levels; a blank text is stored as null.
    pub(crate) fn lists(name: &str, rows: &[&[&str]]) -> Self {
        let schema = format!(
            "optional group {name} (LIST) {{ repeated group list {{ \
             optional binary element (STRING); }} }}"
        );
        let (mut values, mut def, mut rep) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            if row.is_empty() {
                def.push(1);
                rep.push(0);
            }
            for (i, text) in row.iter().enumerate() {
                rep.push(i16::from(i > 0));
                def.push(if text.is_empty() { 2 } else { 3 });
                values.extend((!text.is_empty()).then(|| ByteArray::from(*text)));
            }
        }
        Self { schema, leaves: vec![Leaf::Texts { values, def, rep }] }
    }

    /// An object of texts in a single row; a blank text is stored as null.
    pub(crate) fn object(name: &str, fields: &[(&str, &str)]) -> Self {
        let inner: String =
            fields.iter().map(|(name, _)| format!("optional binary {name} (STRING); ")).collect();
        let leaves = fields.iter().map(|(_, text)| texts(&[text], 2)).collect();
        Self { schema: format!("optional group {name} {{ {inner} }}"), leaves }
    }
}

fn texts(values: &[&str], full: i16) -> Leaf {
    let def = values.iter().map(|text| full - i16::from(text.is_empty())).collect();
    let stored = values.iter().filter(|text| !text.is_empty());
    Leaf::Texts {
        values: stored.map(|text| ByteArray::from(*text)).collect(),
        def,
        rep: vec![0; values.len()],
    }
}

/// The bytes of a file with one row group.
pub(crate) fn write(columns: &[Column]) -> Vec<u8> {
    write_groups(columns, 1, Compression::SNAPPY)
}

/// The bytes of a file that holds the same rows several times.
pub(crate) fn write_groups(columns: &[Column], groups: usize, compression: Compression) -> Vec<u8> {
    let schema: String = columns.iter().map(|column| column.schema.as_str()).collect();
    let schema = parse_message_type(&format!("message rows {{ {schema} }}")).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut bytes = Vec::new();
    let mut file =
        SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::new(properties)).unwrap();
    for _ in 0..groups {
        let mut group = file.next_row_group().unwrap();
        for leaf in columns.iter().flat_map(|column| &column.leaves) {
            let mut column = group.next_column().unwrap().expect("a column for each leaf");
            match (column.untyped(), leaf) {
                (ColumnWriter::ByteArrayColumnWriter(writer), Leaf::Texts { values, def, rep }) => {
                    writer.write_batch(values, Some(def), Some(rep)).unwrap();
                }
                (ColumnWriter::Int64ColumnWriter(writer), Leaf::Integers(values)) => {
                    writer.write_batch(values, None, None).unwrap();
                }
                _ => panic!("the leaf does not fit its schema"),
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    file.close().unwrap();
    bytes
}
