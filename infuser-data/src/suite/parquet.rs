//! Parquet files as records. Only the columns that are asked for are read, one by one through their
//! levels.

use std::{panic::catch_unwind, path::Path};

use ::parquet::{
    basic::{ConvertedType, LogicalType, Repetition},
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType},
    file::reader::{FileReader, RowGroupReader, SerializedFileReader},
    schema::types::{ColumnDescriptor, SchemaDescriptor, Type},
};
use serde_json::{Map, Number, Value};

use super::{
    Parsed,
    table::{Row, Table},
};
use crate::{Error, Result, files};

/// Records read at a time.
const BATCH: usize = 4096;
/// Cells of one file. A few bytes can stand for any number of equal cells.
const MAX_CELLS: usize = 1 << 26;

/// Reads the columns whose first name is `wanted`.
pub(super) fn read(path: &Path, bytes: Vec<u8>, wanted: &[&str]) -> Result<Table> {
    // The crate that decodes the pages asserts what a damaged page breaks. Nothing outlives the
    // closure but its result, so a panic leaves nothing half-done behind.
    let table = catch_unwind(|| parse(bytes, wanted));
    let table = table.unwrap_or_else(|_| Err("a damaged Parquet file".into()));
    table.map_err(|problem| Error::file(path, problem))
}

fn parse(bytes: Vec<u8>, wanted: &[&str]) -> Parsed<Table> {
    let file = SerializedFileReader::new(bytes::Bytes::from(bytes)).map_err(damaged)?;
    let schema = file.metadata().file_metadata().schema_descr_ptr();
    let columns = names(&schema);
    let mut rows = Vec::new();
    let mut budget = Budget { cells: MAX_CELLS, bytes: files::MAX_FILE_BYTES };
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group).map_err(damaged)?;
        let count = usize::try_from(group.metadata().num_rows()).ok();
        let count = count.filter(|count| *count <= MAX_CELLS);
        let count = count.ok_or("the number of rows of a row group is not believable")?;
        let first = rows.len();
        for index in 0..schema.num_columns() {
            let column = schema.column(index);
            let Some(name) = column.path().parts().first() else { continue };
            if !wanted.contains(&name.as_str()) {
                continue;
            }
            let cells = read_column(&*group, index, &schema, &mut budget);
            let cells =
                cells.map_err(|problem| format!("column `{}`: {problem}", column.path()))?;
            if cells.values.len() != count {
                let (found, path) = (cells.values.len(), column.path());
                return Err(format!("column `{path}` has {found} of {count} rows"));
            }
            if rows.len() == first {
                let row = |i| Row { number: first + i + 1, fields: Map::new() };
                rows.extend((0..count).map(row));
            }
            for (row, value) in rows[first..].iter_mut().zip(cells.values) {
                place(&mut row.fields, &cells.keys, value);
            }
        }
        // With no column of interest the caller names the missing ones.
    }
    Ok(Table { columns, rows })
}

fn damaged(error: ::parquet::errors::ParquetError) -> String {
    format!("not a Parquet file that can be read: {error}")
}

/// The names of columns, and of fields in columns.
fn names(schema: &SchemaDescriptor) -> Vec<String> {
    let mut names = Vec::new();
    for field in schema.root_schema().get_fields() {
        names.push(field.name().to_string());
        if field.is_group() && !is_list(field) {
            let inner = field.get_fields().iter();
            names.extend(inner.map(|inner| format!("{}.{}", field.name(), inner.name())));
        }
    }
    names
}

/// What is left of what one file may take.
struct Budget {
    cells: usize,
    bytes: u64,
}

impl Budget {
    fn take(&mut self, cells: usize, bytes: u64) -> Parsed<()> {
        let cells = self.cells.checked_sub(cells).ok_or("more cells than are read")?;
        let bytes = self.bytes.checked_sub(bytes).ok_or("more text than is read")?;
        *self = Self { cells, bytes };
        Ok(())
    }
}

/// A column as values by row.
struct Cells {
    /// Where the values go: a field, or a field in a field.
    keys: Vec<String>,
    values: Vec<Value>,
}

/// How the levels of a column are to be understood.
struct Nesting {
    keys: Vec<String>,
    /// The definition level of an empty list; `None` for a plain column.
    list: Option<i16>,
}

fn is_list(field: &Type) -> bool {
    let info = field.get_basic_info();
    info.converted_type() == ConvertedType::LIST
        || matches!(info.logical_type_ref(), Some(LogicalType::List))
}

/// Follows a column from the root to its leaf.
fn nesting(schema: &SchemaDescriptor, column: &ColumnDescriptor) -> Parsed<Nesting> {
    let parts = column.path().parts();
    let (mut node, mut level, mut keys, mut list) = (schema.root_schema(), 0, Vec::new(), None);
    for part in parts {
        let field = node.get_fields().iter().find(|field| field.name() == part);
        let field = field.ok_or("the schema does not hold it")?;
        // Two fields in a list's element would both go to the list's name.
        if list.is_some() && node.get_fields().len() != 1 {
            return Err("a list of objects, expected a list of texts".into());
        }
        let repetition = field.get_basic_info().repetition();
        if list.is_none() {
            keys.push(part.clone());
        }
        if repetition == Repetition::REPEATED && list.is_none() {
            list = Some(level);
        }
        level += i16::from(repetition != Repetition::REQUIRED);
        if list.is_none() && field.is_group() && is_list(field) {
            list = Some(level);
        }
        node = field;
        if field.is_primitive() {
            break;
        }
    }
    let depth = i16::from(list.is_some());
    if column.max_rep_level() != depth || level != column.max_def_level() || keys.len() > 2 {
        return Err("nested deeper than a list of texts or an object of lists".into());
    }
    Ok(Nesting { keys, list })
}

fn read_column(
    group: &dyn RowGroupReader,
    index: usize,
    schema: &SchemaDescriptor,
    budget: &mut Budget,
) -> Parsed<Cells> {
    let column = schema.column(index);
    let Nesting { keys, list } = nesting(schema, &column)?;
    let assembly = Assembly { list, full: column.max_def_level(), budget };
    let values = match group.get_column_reader(index).map_err(damaged)? {
        ColumnReader::BoolColumnReader(reader) => {
            assembly.read(reader, |value| Ok(Value::Bool(*value)))
        }
        ColumnReader::Int32ColumnReader(reader) => {
            plain_integers(&column)?;
            assembly.read(reader, |value| Ok((*value).into()))
        }
        ColumnReader::Int64ColumnReader(reader) => {
            plain_integers(&column)?;
            assembly.read(reader, |value| Ok((*value).into()))
        }
        ColumnReader::FloatColumnReader(reader) => {
            assembly.read(reader, |value| number(f64::from(*value)))
        }
        ColumnReader::DoubleColumnReader(reader) => assembly.read(reader, |value| number(*value)),
        ColumnReader::ByteArrayColumnReader(reader) => assembly.read(reader, text),
        ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
            Err("neither texts nor numbers".into())
        }
    };
    Ok(Cells { keys, values: values? })
}

/// Refuses integers that stand for dates or parts of a unit.
fn plain_integers(column: &ColumnDescriptor) -> Parsed<()> {
    use ConvertedType::{INT_8, INT_16, INT_32, INT_64, NONE, UINT_8, UINT_16, UINT_32};
    match column.converted_type() {
        NONE | INT_8 | INT_16 | INT_32 | INT_64 | UINT_8 | UINT_16 | UINT_32 => Ok(()),
        other => Err(format!("holds {other}, expected texts or numbers")),
    }
}

fn number(value: f64) -> Parsed<Value> {
    Number::from_f64(value).map(Value::Number).ok_or_else(|| format!("holds {value}"))
}

fn text(value: &ByteArray) -> Parsed<Value> {
    let text = std::str::from_utf8(value.data()).map_err(|_| "holds bytes that are not UTF-8")?;
    Ok(text.into())
}

/// Turns levels and values into a value by row.
struct Assembly<'a> {
    list: Option<i16>,
    /// The definition level of a cell that holds something.
    full: i16,
    budget: &'a mut Budget,
}

impl Assembly<'_> {
    fn read<T: DataType>(
        self,
        mut reader: ColumnReaderImpl<T>,
        convert: impl Fn(&T::T) -> Parsed<Value>,
    ) -> Parsed<Vec<Value>> {
        let mut rows = Vec::new();
        loop {
            let (mut def, mut rep, mut values) = (Vec::new(), Vec::new(), Vec::new());
            let read = reader.read_records(BATCH, Some(&mut def), Some(&mut rep), &mut values);
            let (records, _, levels) = read.map_err(damaged)?;
            if records == 0 && levels == 0 {
                return Ok(rows);
            }
            // A column that is never null has no levels to store.
            let cells = if self.full == 0 { values.len() } else { def.len() };
            def.resize(cells, self.full);
            if self.list.is_some() && rep.len() != cells {
                return Err("its levels do not fit each other".into());
            }
            rep.resize(cells, 0);
            let mut values = values.iter();
            for (def, rep) in def.into_iter().zip(rep) {
                let value = match def == self.full {
                    true => convert(values.next().ok_or("fewer values than its levels say")?)?,
                    false => Value::Null,
                };
                self.budget.take(1, value.as_str().map_or(0, |text| text.len() as u64))?;
                self.add(&mut rows, def, rep, value)?;
            }
        }
    }

    fn add(&self, rows: &mut Vec<Value>, def: i16, rep: i16, value: Value) -> Parsed<()> {
        let Some(empty) = self.list else {
            rows.push(value);
            return Ok(());
        };
        if rep == 0 {
            rows.push(match def {
                _ if def < empty => Value::Null,
                _ if def == empty => Value::Array(Vec::new()),
                _ => Value::Array(vec![value]),
            });
            return Ok(());
        }
        match rows.last_mut() {
            Some(Value::Array(list)) if def > empty => list.push(value),
            _ => return Err("a list goes on that did not begin".into()),
        }
        Ok(())
    }
}

/// Puts a value under one or two names.
fn place(fields: &mut Map<String, Value>, keys: &[String], value: Value) {
    match keys {
        [key] => {
            fields.insert(key.clone(), value);
        }
        [outer, inner] => {
            let object = fields.entry(outer.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(object) = object {
                object.insert(inner.clone(), value);
            }
        }
        _ => {}
    }
}
