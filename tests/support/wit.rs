//! An interface as a list of what may never change in it, so that two versions can be compared.

use std::collections::BTreeMap;

use wit_parser::{Function, Handle, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeOwner, WorldItem, WorldKey};

/// Every type and every function by its name, with all that a component built against it relies on.
#[derive(Debug)]
pub struct Interface {
    items: BTreeMap<String, String>,
    /// The interfaces that a component exports: what is new in them is missing in every older component.
    exported: Vec<String>,
}

impl Interface {
    /// Reads a WIT text.
    pub fn parse(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let package = resolve.push_str("interface.wit", text).unwrap();
        let package = &resolve.packages[package];
        let mut interface = Self { items: BTreeMap::new(), exported: Vec::new() };
        let version = package.name.version.as_ref().unwrap();
        let name = format!("{}:{}@{}.{}", package.name.namespace, package.name.name, version.major, version.minor);
        interface.items.insert("package".into(), name);
        for (name, id) in &package.interfaces {
            interface.read(&resolve, name, *id);
        }
        for (name, id) in &package.worlds {
            let world = &resolve.worlds[*id];
            for (key, item) in &world.imports {
                interface.items.insert(format!("world {name} imports {}", key_name(&resolve, key)), kind(item).into());
            }
            for (key, item) in &world.exports {
                let key = key_name(&resolve, key);
                interface.items.insert(format!("world {name} exports {key}"), kind(item).into());
                interface.exported.push(format!("world {name} exports "));
                interface.exported.push(format!("function {key}."));
            }
        }
        interface
    }

    fn read(&mut self, resolve: &Resolve, name: &str, id: InterfaceId) {
        let interface = &resolve.interfaces[id];
        for (type_name, id) in &interface.types {
            self.items.insert(format!("type {name}.{type_name}"), definition(resolve, &resolve.types[*id]));
        }
        for (function_name, function) in &interface.functions {
            self.items.insert(format!("function {name}.{function_name}"), signature(resolve, function));
        }
    }

    /// What has changed since `frozen` so that a component built for that fails; what is merely new is not in it.
    pub fn breaks_since(&self, frozen: &Self) -> Vec<String> {
        let mut breaks = Vec::new();
        for (name, was) in &frozen.items {
            match self.items.get(name) {
                Some(is) if is == was => {}
                Some(is) => breaks.push(format!("{name} was\n  {was}\nand is\n  {is}")),
                None => breaks.push(format!("{name} is gone")),
            }
        }
        for name in self.items.keys().filter(|name| !frozen.items.contains_key(*name)) {
            if self.exported.iter().any(|prefix| name.starts_with(prefix)) {
                breaks.push(format!("{name} is new, and missing in every component that is there"));
            }
        }
        breaks
    }
}

fn key_name(resolve: &Resolve, key: &WorldKey) -> String {
    match key {
        WorldKey::Name(name) => name.clone(),
        WorldKey::Interface(id) => resolve.interfaces[*id].name.clone().unwrap_or_default(),
    }
}

fn kind(item: &WorldItem) -> &'static str {
    match item {
        WorldItem::Interface { .. } => "interface",
        WorldItem::Function(_) => "function",
        WorldItem::Type { .. } => "type",
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params: Vec<String> =
        function.params.iter().map(|param| format!("{}: {}", param.name, name_of(resolve, &param.ty))).collect();
    let result = function.result.as_ref().map_or_else(|| "nothing".into(), |ty| name_of(resolve, ty));
    format!("({}) -> {result}", params.join(", "))
}

/// A type where it is used: named ones by their names, the others by what they are.
fn name_of(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else { return format!("{ty:?}").to_lowercase() };
    let ty = &resolve.types[*id];
    match (&ty.name, ty.owner) {
        (Some(name), TypeOwner::Interface(id)) => {
            format!("{}.{name}", resolve.interfaces[id].name.as_deref().unwrap_or_default())
        }
        (Some(name), _) => name.clone(),
        (None, _) => definition(resolve, ty),
    }
}

fn definition(resolve: &Resolve, ty: &TypeDef) -> String {
    let name = |ty: &Type| name_of(resolve, ty);
    let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".into(), name);
    match &ty.kind {
        TypeDefKind::Record(record) => {
            let fields: Vec<String> =
                record.fields.iter().map(|field| format!("{}: {}", field.name, name(&field.ty))).collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        TypeDefKind::Variant(variant) => {
            let cases: Vec<String> =
                variant.cases.iter().map(|case| format!("{}({})", case.name, optional(&case.ty))).collect();
            format!("variant {{ {} }}", cases.join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let cases: Vec<&str> = cases.cases.iter().map(|case| case.name.as_str()).collect();
            format!("enum {{ {} }}", cases.join(", "))
        }
        TypeDefKind::Flags(flags) => {
            let flags: Vec<&str> = flags.flags.iter().map(|flag| flag.name.as_str()).collect();
            format!("flags {{ {} }}", flags.join(", "))
        }
        TypeDefKind::Resource => "resource".into(),
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", name(&Type::Id(*id))),
        TypeDefKind::Handle(Handle::Borrow(id)) => format!("borrow<{}>", name(&Type::Id(*id))),
        TypeDefKind::Tuple(tuple) => format!("tuple<{}>", tuple.types.iter().map(name).collect::<Vec<_>>().join(", ")),
        TypeDefKind::Option(ty) => format!("option<{}>", name(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", name(ty)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", optional(&result.ok), optional(&result.err)),
        TypeDefKind::Type(ty) => format!("the same as {}", name(ty)),
        other => panic!("the interface has a {}, which this comparison does not know", other.as_str()),
    }
}
