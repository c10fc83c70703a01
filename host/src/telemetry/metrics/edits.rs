//! What is to be changed of metrics, on its way to the places that keep them.

use super::series::{Labels, Series};

/// Changes, in their order.
#[derive(Debug, Clone, Default)]
pub struct Edits(Vec<Edit>);

#[derive(Debug, Clone)]
enum Edit {
    Set(&'static str, Labels, f64),
    Add(&'static str, Labels, f64),
    Remove(&'static str, Labels),
}

impl Edits {
    /// Gives a metric its value.
    pub fn set(&mut self, name: &'static str, labels: Labels, value: f64) {
        self.0.push(Edit::Set(name, labels, value));
    }

    /// Adds to a metric; what is not there was zero.
    pub fn add(&mut self, name: &'static str, labels: Labels, more: f64) {
        self.0.push(Edit::Add(name, labels, more));
    }

    /// Removes those of this name that have all these labels.
    pub fn remove(&mut self, name: &'static str, labels: &Labels) {
        self.0.push(Edit::Remove(name, labels.clone()));
    }

    /// These, and then those.
    pub fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Makes them.
    pub fn apply(&self, series: &mut Series) {
        for edit in &self.0 {
            match edit {
                Edit::Set(name, labels, value) => series.set(name, labels.clone(), *value),
                Edit::Add(name, labels, more) => series.add(name, labels.clone(), *more),
                Edit::Remove(name, labels) => series.remove(name, labels),
            }
        }
    }
}
