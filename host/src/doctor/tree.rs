//! Who waits for whom, as a tree.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// A session, and those that wait for it.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Node {
    /// The session.
    #[serde(flatten)]
    pub session: Involved,
    /// Those that wait for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Node>,
}

/// A session that waits, or that others wait for.
#[derive(Debug, Clone, Default, Serialize, schemars::JsonSchema)]
pub struct Involved {
    /// Its process; 0: a prepared transaction, which has none.
    pub pid: i32,
    /// Its application's name.
    pub application: Option<String>,
    /// Its role.
    pub role: Option<String>,
    /// Its database, where that is another one.
    pub database: Option<String>,
    /// What it does; `None` where this role may not see that.
    pub state: Option<String>,
    /// How long its transaction is open.
    pub open_s: Option<i64>,
    /// How long it waits.
    pub waits_s: Option<i64>,
    /// The lock that it waits for.
    pub mode: Option<String>,
    /// What that is on.
    pub on: Option<String>,
    /// Its query, shortened.
    pub query: Option<String>,
    /// All that it waits for, whom it stands below included.
    pub waits_for: Vec<i32>,
}

/// The roots are those that wait for nobody; where all wait in a circle, one of them. Everybody is there once: below one that
/// waits itself, where it waits for several, so that the chain can be read.
pub fn trees(involved: Vec<Involved>) -> Vec<Node> {
    let by_pid: BTreeMap<i32, Involved> = involved.into_iter().map(|one| (one.pid, one)).collect();
    let mut below: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    let mut parents: BTreeMap<i32, i32> = BTreeMap::new();
    for (pid, one) in &by_pid {
        let known = || one.waits_for.iter().filter(|other| **other != *pid && by_pid.contains_key(other));
        let waits = |other: &&i32| !by_pid[*other].waits_for.is_empty();
        let in_a_circle = |other: &&i32| leads_to(&parents, **other, *pid);
        let above = known().filter(waits).find(|other| !in_a_circle(other));
        let above = above.or_else(|| known().find(|other| !in_a_circle(other)));
        if let Some(above) = above {
            parents.insert(*pid, *above);
            below.entry(*above).or_default().push(*pid);
        }
    }
    let roots = by_pid.keys().filter(|pid| !parents.contains_key(pid));
    roots.map(|pid| node(*pid, &by_pid, &below)).collect()
}

fn leads_to(parents: &BTreeMap<i32, i32>, from: i32, to: i32) -> bool {
    let mut seen = BTreeSet::new();
    let mut at = Some(from);
    while let Some(pid) = at {
        if pid == to {
            return true;
        }
        if !seen.insert(pid) {
            return false;
        }
        at = parents.get(&pid).copied();
    }
    false
}

fn node(pid: i32, by_pid: &BTreeMap<i32, Involved>, below: &BTreeMap<i32, Vec<i32>>) -> Node {
    let waiting = below.get(&pid).into_iter().flatten().map(|pid| node(*pid, by_pid, below)).collect();
    Node { session: by_pid[&pid].clone(), waiting }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(waits: &[(i32, &[i32])]) -> String {
        fn draw(node: &Node) -> String {
            let inner: Vec<String> = node.waiting.iter().map(draw).collect();
            if inner.is_empty() {
                node.session.pid.to_string()
            } else {
                format!("{}({})", node.session.pid, inner.join(" "))
            }
        }
        let involved = waits.iter().map(|(pid, waits_for)| Involved {
            pid: *pid,
            waits_for: waits_for.to_vec(),
            ..Involved::default()
        });
        trees(involved.collect()).iter().map(draw).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn whoever_waits_stands_below_whom_it_waits_for() {
        assert_eq!(drawn(&[(1, &[]), (2, &[1]), (3, &[2]), (4, &[1])]), "1(2(3) 4)");
    }

    #[test]
    fn a_chain_is_drawn_whole_where_its_end_waits_for_all_before_it() {
        assert_eq!(drawn(&[(1, &[]), (2, &[1]), (3, &[1, 2]), (9, &[]), (8, &[9])]), "1(2(3)) 9(8)");
    }

    #[test]
    fn a_circle_begins_somewhere_and_ends() {
        assert_eq!(drawn(&[(1, &[2]), (2, &[1])]), "2(1)");
        assert_eq!(drawn(&[(1, &[2]), (2, &[3]), (3, &[1])]), "3(2(1))");
    }
}
