use crate::{Batch, Error, Result, Uuid};

/// Where the batch before this one ended; see [`Migration::run_batch`](crate::Migration::run_batch).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    bytes: Option<Vec<u8>>,
}

impl Checkpoint {
    pub(crate) fn new(bytes: Option<Vec<u8>>) -> Self {
        Self { bytes }
    }

    /// The checkpoint of the first batch: there is none yet.
    #[must_use]
    pub fn first() -> Self {
        Self::default()
    }

    /// The checkpoint that the batch after this one gets; none after the last. For unit tests.
    #[must_use]
    pub fn after(batch: &Batch) -> Option<Self> {
        match batch {
            Batch::More(more) => Some(Self::new(Some(more.checkpoint.clone()))),
            Batch::Finished => None,
        }
    }

    /// What the batch before gave to [`Batch::more`]; `None` in the first batch.
    ///
    /// ```
    /// use lockgate_plugin::{Batch, Checkpoint, Result, Uuid};
    ///
    /// fn page(checkpoint: &Checkpoint) -> Result<()> {
    ///     let after: Option<Uuid> = checkpoint.read()?;
    ///     // SELECT … WHERE id > coalesce($1, '00000000-…') ORDER BY id LIMIT 5000
    /// #   assert_eq!(after, None);
    ///     Ok(())
    /// }
    /// # page(&Checkpoint::first()).unwrap();
    /// #
    /// // More than one value goes as a tuple.
    /// let batch = Batch::more((Uuid(7), 5_000_u64), 5_000, None);
    /// let checkpoint = Checkpoint::after(&batch).unwrap();
    /// assert_eq!(checkpoint.read(), Ok(Some((Uuid(7), 5_000_u64))));
    /// ```
    ///
    /// # Errors
    /// [`Error::BadValue`] when the batch before wrote something of another type.
    pub fn read<T: CheckpointData>(&self) -> Result<Option<T>> {
        let Some(mut rest) = self.bytes.as_deref() else { return Ok(None) };
        match T::read(&mut rest) {
            Some(value) if rest.is_empty() => Ok(Some(value)),
            _ => Err(Error::BadValue(format!("the checkpoint is no `{}`", std::any::type_name::<T>()))),
        }
    }
}

/// What a checkpoint can hold: whole numbers, [`Uuid`], text, bytes, options of these, and tuples of up to four.
///
/// Numbers are little-endian; text and bytes come after their length, an option after a byte that says whether it is
/// there. Types are not written: read what was written.
pub trait CheckpointData: Sized {
    /// Appends the value.
    fn write(&self, to: &mut Vec<u8>);

    /// Takes the value from the front; nothing when it is not there.
    fn read(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl CheckpointData for $number {
            fn write(&self, to: &mut Vec<u8>) {
                to.extend(self.to_le_bytes());
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        }
    )+};
}

numbers!(u8, i16, i32, i64, u32, u64, u128);

impl CheckpointData for bool {
    fn write(&self, to: &mut Vec<u8>) {
        u8::from(*self).write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match u8::read(from)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl CheckpointData for Uuid {
    fn write(&self, to: &mut Vec<u8>) {
        self.0.write(to);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        u128::read(from).map(Self)
    }
}

impl CheckpointData for Vec<u8> {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u64).write(to);
        to.extend(self);
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let length = usize::try_from(u64::read(from)?).ok()?;
        let (bytes, rest) = from.split_at_checked(length)?;
        *from = rest;
        Some(bytes.to_vec())
    }
}

impl CheckpointData for String {
    fn write(&self, to: &mut Vec<u8>) {
        (self.len() as u64).write(to);
        to.extend(self.as_bytes());
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Self::from_utf8(Vec::read(from)?).ok()
    }
}

impl<T: CheckpointData> CheckpointData for Option<T> {
    fn write(&self, to: &mut Vec<u8>) {
        self.is_some().write(to);
        if let Some(value) = self {
            value.write(to);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        match bool::read(from)? {
            true => T::read(from).map(Some),
            false => Some(None),
        }
    }
}

macro_rules! tuples {
    ($(($($part:ident $index:tt),+))+) => {$(
        impl<$($part: CheckpointData),+> CheckpointData for ($($part,)+) {
            fn write(&self, to: &mut Vec<u8>) {
                $(self.$index.write(to);)+
            }

            fn read(from: &mut &[u8]) -> Option<Self> {
                Some(($($part::read(from)?,)+))
            }
        }
    )+};
}

tuples! {
    (A 0)
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    #[track_caller]
    fn survives<T: CheckpointData + Clone + Debug + PartialEq>(value: T) {
        let batch = Batch::more(value.clone(), 1, 2);
        let checkpoint = Checkpoint::after(&batch).unwrap();
        assert_eq!(checkpoint.read(), Ok(Some(value)));
    }

    #[test]
    fn the_next_batch_reads_what_the_one_before_wrote() {
        survives(i64::MIN);
        survives(Uuid(u128::MAX - 1));
        survives(String::from("Grüße\0"));
        survives(vec![0_u8, 255]);
        survives((Uuid(1), None::<i64>));
        survives((String::new(), Some(String::from("x")), true, 7_u32));
    }

    #[test]
    fn the_first_batch_has_none() {
        assert_eq!(Checkpoint::first().read::<i64>(), Ok(None));
        assert_eq!(Checkpoint::after(&Batch::Finished), None);
    }

    #[test]
    fn another_type_is_refused() {
        let checkpoint = Checkpoint::after(&Batch::more(7_i64, 1, None)).unwrap();
        assert!(checkpoint.read::<i32>().is_err(), "bytes are left over");
        assert!(checkpoint.read::<Uuid>().is_err(), "bytes are missing");
        assert!(checkpoint.read::<String>().is_err(), "a length without its text");
        let checkpoint = Checkpoint::new(Some(vec![0xff; 8]));
        assert!(checkpoint.read::<Vec<u8>>().is_err(), "a length beyond all memory");
    }
}
