use std::rc::Rc;

use crate::bindings::lockgate::migration::types;
use crate::{Column, Error, FromValue, Result, Value};

/// One row of a result.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    columns: Rc<[Column]>,
    values: Vec<Value>,
}

impl Row {
    /// The value of a column, by its position from 0 or its name. NULL needs an [`Option`]:
    /// `row.get::<Option<&str>>("phone")`.
    ///
    /// # Errors
    /// [`Error::BadValue`] when there is no such column, or its value does not fit `T`.
    pub fn get<'a, T: FromValue<'a>>(&'a self, column: impl ColumnIndex) -> Result<T> {
        let index = column.find(&self.columns)?;
        let value = &self.values[index];
        T::from_value(value).ok_or_else(|| mismatch::<T>(&self.columns[index], value))
    }

    /// All columns at once, as a tuple in their order.
    ///
    /// ```
    /// use lockgate_plugin::{Result, Row, Uuid};
    ///
    /// fn line(row: &Row) -> Result<String> {
    ///     let (id, phone): (Uuid, Option<&str>) = row.read()?;
    ///     Ok(format!("{id}: {}", phone.unwrap_or("none")))
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Error::BadValue`] when there are more columns or fewer, or a value does not fit.
    pub fn read<'a, T: FromRow<'a>>(&'a self) -> Result<T> {
        T::from_row(self)
    }

    /// The columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The values, in the order of the columns.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.values
    }
}

/// What names a column: its position from 0, or its name.
pub trait ColumnIndex {
    /// The position of the column.
    ///
    /// # Errors
    /// [`Error::BadValue`] when there is none.
    fn find(&self, columns: &[Column]) -> Result<usize>;
}

impl ColumnIndex for usize {
    fn find(&self, columns: &[Column]) -> Result<usize> {
        if *self < columns.len() {
            return Ok(*self);
        }
        Err(Error::BadValue(format!("there is no column {self}: the result has {}", columns.len())))
    }
}

impl ColumnIndex for &str {
    fn find(&self, columns: &[Column]) -> Result<usize> {
        columns
            .iter()
            .position(|column| column.name == *self)
            .ok_or_else(|| Error::BadValue(format!("there is no column `{self}` among: {}", names(columns))))
    }
}

/// What [`Row::read`] makes of a row: tuples of up to eight columns.
pub trait FromRow<'a>: Sized {
    /// The values of all columns.
    ///
    /// # Errors
    /// [`Error::BadValue`] when there are more columns or fewer, or a value does not fit.
    fn from_row(row: &'a Row) -> Result<Self>;
}

macro_rules! tuples {
    ($($count:literal ($($part:ident $index:tt),+))+) => {$(
        impl<'a, $($part: FromValue<'a>),+> FromRow<'a> for ($($part,)+) {
            fn from_row(row: &'a Row) -> Result<Self> {
                match row.columns.len() {
                    $count => Ok(($(row.get::<$part>($index)?,)+)),
                    _ => Err(wrong_count($count, &row.columns)),
                }
            }
        }
    )+};
}

tuples! {
    1 (A 0)
    2 (A 0, B 1)
    3 (A 0, B 1, C 2)
    4 (A 0, B 1, C 2, D 3)
    5 (A 0, B 1, C 2, D 3, E 4)
    6 (A 0, B 1, C 2, D 3, E 4, F 5)
    7 (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    8 (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

fn wrong_count(read: usize, columns: &[Column]) -> Error {
    Error::BadValue(format!("{read} columns are read, but the result has {}: {}", columns.len(), names(columns)))
}

fn names(columns: &[Column]) -> String {
    columns.iter().map(|column| &*column.name).collect::<Vec<_>>().join(", ")
}

pub(crate) fn of(result: types::Rows) -> Vec<Row> {
    with_columns(&Rc::from(result.columns), result.rows)
}

pub(crate) fn with_columns(columns: &Rc<[Column]>, rows: Vec<Vec<Value>>) -> Vec<Row> {
    rows.into_iter().map(|values| Row { columns: Rc::clone(columns), values }).collect()
}

fn mismatch<'a, T: FromValue<'a>>(column: &Column, value: &Value) -> Error {
    let Column { name, type_name, .. } = column;
    let wanted = std::any::type_name::<T>();
    Error::BadValue(match value {
        Value::Null => {
            format!("column `{name}` is NULL where `{wanted}` is read: read an `Option` instead")
        }
        _ => format!("column `{name}` is of type `{type_name}`, which does not fit `{wanted}`"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let columns = [("id", "int8"), ("phone", "text"), ("n", "int4")];
        let column =
            |(name, type_name): (&str, &str)| Column { name: name.into(), type_name: type_name.into(), type_oid: 0 };
        let result = types::Rows {
            columns: columns.map(column).into(),
            rows: vec![vec![Value::Int8(7), Value::Null, Value::Int4(-1)]],
        };
        of(result).remove(0)
    }

    fn message<T>(result: Result<T>) -> String {
        result.err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn columns_are_found_by_position_and_name() {
        assert_eq!(row().get::<i64>(0), Ok(7));
        assert_eq!(row().get::<i64>("id"), Ok(7));
        assert_eq!(message(row().get::<i64>("ID")), "there is no column `ID` among: id, phone, n");
        assert_eq!(message(row().get::<i64>(3)), "there is no column 3: the result has 3");
    }

    #[test]
    fn a_row_is_a_tuple() {
        assert_eq!(row().read::<(i64, Option<String>, i32)>(), Ok((7, None, -1)));
        assert_eq!(
            message(row().read::<(i64, Option<&str>)>()),
            "2 columns are read, but the result has 3: id, phone, n"
        );
        assert_eq!(message(row().read::<(i64, i32, i32)>()), message(row().get::<i32>("phone")));
    }

    #[test]
    fn null_needs_an_option() {
        assert_eq!(row().get::<Option<&str>>("phone"), Ok(None));
        assert_eq!(
            message(row().get::<i32>("phone")),
            "column `phone` is NULL where `i32` is read: read an `Option` instead"
        );
    }

    #[test]
    fn integers_widen_but_never_narrow() {
        assert_eq!(row().get::<i64>("n"), Ok(-1));
        assert_eq!(message(row().get::<i32>("id")), "column `id` is of type `int8`, which does not fit `i32`");
    }
}
