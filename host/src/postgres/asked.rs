//! The host's own statements with parameters, in one round trip each: the types of the parameters are said, so that the server need not
//! be asked for them first.

use tokio_postgres::{
    Error, Row,
    types::{ToSql, Type},
};

use super::handle::Asked;

/// A parameter whose type is known from what it is here.
pub(super) trait Given: Sync {
    /// The type.
    fn type_of(&self) -> Type;

    /// The value.
    fn value(&self) -> &(dyn ToSql + Sync);
}

macro_rules! given {
    ($($rust:ty => $sql:ident),* $(,)?) => {$(
        impl Given for $rust {
            fn type_of(&self) -> Type {
                Type::$sql
            }

            fn value(&self) -> &(dyn ToSql + Sync) {
                self
            }
        }

        impl Given for Option<$rust> {
            fn type_of(&self) -> Type {
                Type::$sql
            }

            fn value(&self) -> &(dyn ToSql + Sync) {
                self
            }
        }
    )*};
}

given! {
    bool => BOOL,
    i32 => INT4,
    i64 => INT8,
    u32 => OID,
    String => TEXT,
    &str => TEXT,
    Vec<u8> => BYTEA,
    Vec<String> => TEXT_ARRAY,
    Vec<&str> => TEXT_ARRAY,
}

impl<T: Given + ?Sized> Given for &T {
    fn type_of(&self) -> Type {
        T::type_of(self)
    }

    fn value(&self) -> &(dyn ToSql + Sync) {
        T::value(self)
    }
}

/// As the driver's own methods of these names are, which take two round trips each.
impl Asked<'_> {
    pub(super) async fn query(&self, sql: &str, params: &[&dyn Given]) -> Result<Vec<Row>, Error> {
        self.query_typed(sql, &typed(params)).await
    }

    pub(super) async fn query_one(&self, sql: &str, params: &[&dyn Given]) -> Result<Row, Error> {
        self.query_typed_one(sql, &typed(params)).await
    }

    pub(super) async fn query_opt(&self, sql: &str, params: &[&dyn Given]) -> Result<Option<Row>, Error> {
        self.query_typed_opt(sql, &typed(params)).await
    }

    pub(super) async fn execute(&self, sql: &str, params: &[&dyn Given]) -> Result<u64, Error> {
        self.execute_typed(sql, &typed(params)).await
    }
}

fn typed<'p>(params: &[&'p dyn Given]) -> Vec<(&'p (dyn ToSql + Sync), Type)> {
    params.iter().map(|&param| (param.value(), param.type_of())).collect()
}
