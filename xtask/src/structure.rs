//! Checks the structure of `src`: the order of modules in `lib.rs`, import circles, and the length of files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use syn::visit::Visit;
use syn::{Attribute, Item, UseTree, Visibility};

use crate::run::root;

/// Largest number of files in an import circle. A small circle inside one folder is acceptable.
const MAX_CIRCLE: usize = 4;

/// Largest number of lines of code in a file, without comments and empty lines.
const MAX_LINES: usize = 450;

/// Checks all rules. The error lists every violation.
pub(crate) fn check() -> Result<()> {
    let crate_dir = root().join("src");
    let mut modules = Modules::default();
    modules.read(&crate_dir.join("lib.rs"), Vec::new())?;
    let problems = [modules.long_files(), modules.wrong_order(), modules.bad_circles()].concat();
    println!(
        "{} files, {} imports between them",
        modules.files.len(),
        modules.imports().values().map(BTreeSet::len).sum::<usize>()
    );
    if !problems.is_empty() {
        bail!("{}", problems.join("\n"));
    }
    Ok(())
}

/// Path of a module from the root of the crate, `["read", "fits"]`.
type ModulePath = Vec<String>;

/// A file and the paths in it.
#[derive(Default)]
struct File {
    path: PathBuf,
    code_lines: usize,
    /// Modules that the file declares, in order.
    children: Vec<String>,
    /// Paths that the file uses, unresolved.
    paths: Vec<Vec<String>>,
    /// Names that the file re-exports, with their paths; `*` for all names of a module.
    exports: Vec<(String, Vec<String>)>,
}

/// Every file of the crate by its module path.
#[derive(Default)]
struct Modules {
    files: BTreeMap<ModulePath, File>,
}

impl Modules {
    /// Reads the file of a module and the files of its submodules.
    fn read(&mut self, path: &Path, module: ModulePath) -> Result<()> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let syntax = syn::parse_file(&text).with_context(|| format!("parsing {}", path.display()))?;
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
        let code_lines = text.lines().filter(is_code).count();
        let mut file = File { path: path.to_owned(), code_lines, ..File::default() };
        for item in &syntax.items {
            if let Item::Mod(child) = item
                && child.content.is_none()
                && !is_test(&child.attrs)
            {
                file.children.push(child.ident.to_string());
            }
        }
        PathCollector(&mut file).visit_file(&syntax);
        let is_folder = path.file_stem().is_some_and(|stem| stem == "mod" || stem == "lib");
        let folder = if is_folder { path.with_file_name("") } else { path.with_extension("") };
        for name in file.children.clone() {
            let own_file = folder.join(format!("{name}.rs"));
            let child = if own_file.is_file() { own_file } else { folder.join(&name).join("mod.rs") };
            self.read(&child, [&module[..], &[name]].concat())?;
        }
        self.files.insert(module, file);
        Ok(())
    }

    /// The module that defines the item with the path `path` in `module`; `None` for other crates.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<ModulePath> {
        let first = path.first()?;
        let (mut target, mut rest) = match first.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (module.to_vec(), &path[1..]),
            "super" => (module[..module.len().checked_sub(1)?].to_vec(), &path[1..]),
            // A path of one segment is a local name.
            name if path.len() > 1 && self.files[module].children.iter().any(|child| child == name) => {
                (module.to_vec(), path)
            }
            _ => return None,
        };
        while let Some((name, after)) = rest.split_first() {
            let file = &self.files[&target];
            if name == "super" {
                target.pop();
            } else if file.children.contains(name) {
                target.push(name.clone());
            } else if let Some((_, export)) = file.exports.iter().find(|(exported, _)| exported == name)
                && depth < 8
            {
                return self.resolve(&target, &[&export[..], after].concat(), depth + 1).or(Some(target));
            } else {
                break;
            }
            rest = after;
        }
        Some(target)
    }

    /// The modules that each module imports from, without its submodules.
    fn imports(&self) -> BTreeMap<&ModulePath, BTreeSet<ModulePath>> {
        let mut imports = BTreeMap::new();
        for (module, file) in &self.files {
            let found = file.paths.iter().filter_map(|path| self.resolve(module, path, 0));
            // A module and its submodules may use each other.
            imports.insert(module, found.filter(|other| !other.starts_with(module)).collect());
        }
        imports
    }

    fn name(&self, module: &[String]) -> String {
        let path = &self.files[module].path;
        path.strip_prefix(root()).unwrap_or(path).to_string_lossy().replace('\\', "/")
    }

    fn long_files(&self) -> Vec<String> {
        let long = self.files.iter().filter(|(_, file)| file.code_lines > MAX_LINES);
        long.map(|(module, file)| {
            format!("{}: {} lines of code, more than {MAX_LINES}: split it", self.name(module), file.code_lines)
        })
        .collect()
    }

    /// Imports that violate the order of modules in `lib.rs`.
    fn wrong_order(&self) -> Vec<String> {
        let order = &self.files[&Vec::new()].children;
        let rank = |module: &[String]| order.iter().position(|name| Some(name) == module.first());
        let mut problems = Vec::new();
        for (module, others) in self.imports() {
            for other in others.iter().filter(|other| rank(other) > rank(module)) {
                let (from, to) = (self.name(module), self.name(other));
                problems.push(format!("{from} imports {to}, which stands below it in src/lib.rs"));
            }
        }
        problems
    }

    /// Import circles that are too large or span several folders.
    fn bad_circles(&self) -> Vec<String> {
        let imports = self.imports();
        let mut reachable = BTreeMap::new();
        for from in imports.keys() {
            let (mut seen, mut queue) = (BTreeSet::new(), vec![*from]);
            while let Some(module) = queue.pop() {
                queue.extend(imports[module].iter().filter(|other| seen.insert(*other)));
            }
            reachable.insert(*from, seen);
        }
        let mut circles = BTreeSet::new();
        for (module, others) in &reachable {
            let circle: Vec<_> = others.iter().filter(|other| reachable[**other].contains(*module)).copied().collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        let folder = |module: &ModulePath| {
            let file = &self.files[module];
            if file.children.is_empty() { module[..module.len() - 1].to_vec() } else { module.clone() }
        };
        let is_bad = |circle: &&Vec<&ModulePath>| {
            circle.len() > MAX_CIRCLE || circle.iter().map(|module| folder(module)).collect::<BTreeSet<_>>().len() > 1
        };
        let describe = |circle: &Vec<&ModulePath>| {
            let lines = circle.iter().map(|module| {
                let inside = imports[*module].iter().filter(|other| circle.contains(other));
                let names: Vec<_> = inside.map(|other| self.name(other)).collect();
                format!("  {} imports {}", self.name(module), names.join(", "))
            });
            let lines: Vec<_> = lines.collect();
            format!("a circle of imports of {} files:\n{}", circle.len(), lines.join("\n"))
        };
        circles.iter().filter(is_bad).map(describe).collect()
    }
}

/// Visitor that collects the paths of a file, without its tests.
struct PathCollector<'a>(&'a mut File);

impl<'ast> Visit<'ast> for PathCollector<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut leaves = Vec::new();
        flatten(&item.tree, &mut Vec::new(), &mut leaves);
        match item.vis {
            Visibility::Inherited => self.0.paths.extend(leaves.into_iter().map(|(_, path)| path)),
            _ => self.0.exports.extend(leaves),
        }
    }

    // The `super` in `pub(super)` is no import.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }
}

/// Collects the names of a `use` tree, each with its full path.
fn flatten(tree: &UseTree, prefix: &mut Vec<String>, leaves: &mut Vec<(String, Vec<String>)>) {
    match tree {
        UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, leaves);
            prefix.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|item| flatten(item, prefix, leaves)),
        UseTree::Glob(_) => leaves.push(("*".into(), [&prefix[..], &["*".into()]].concat())),
        UseTree::Name(name) if name.ident == "self" => {
            leaves.push((prefix.last().cloned().unwrap_or_default(), prefix.clone()));
        }
        UseTree::Name(name) => leaves.push((name.ident.to_string(), [&prefix[..], &[name.ident.to_string()]].concat())),
        UseTree::Rename(rename) => {
            leaves.push((rename.rename.to_string(), [&prefix[..], &[rename.ident.to_string()]].concat()));
        }
    }
}

/// Whether an item is compiled only for tests.
fn is_test(attributes: &[Attribute]) -> bool {
    let is_cfg_test = |attribute: &Attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
    };
    attributes.iter().any(is_cfg_test)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crate from texts of files by module path.
    fn modules(files: &[(&[&str], &str)]) -> Modules {
        let mut all = Modules::default();
        for (module, text) in files {
            let syntax = syn::parse_str::<syn::File>(text).unwrap();
            let module: ModulePath = module.iter().map(|name| (*name).to_string()).collect();
            let is_below = |other: &&(&[&str], &str)| {
                other.0.len() == module.len() + 1
                    && other.0.starts_with(&module.iter().map(String::as_str).collect::<Vec<_>>())
            };
            let children = files.iter().filter(is_below).map(|other| other.0[module.len()].to_string()).collect();
            let mut file = File { path: module.join("/").into(), children, ..File::default() };
            PathCollector(&mut file).visit_file(&syntax);
            all.files.insert(module, file);
        }
        all
    }

    #[test]
    fn wrong_order_is_found_through_exports() {
        let low = "use crate::high::Thing;";
        let all = modules(&[
            (&[], ""),
            (&["low"], low),
            (&["high"], "pub use inner::Thing;"),
            (&["high", "inner"], "pub struct Thing;"),
        ]);
        let found = all.wrong_order();
        assert_eq!(found, ["low imports high/inner, which stands below it in src/lib.rs"]);
    }

    #[test]
    fn circles_across_folders_are_found_outside_of_tests() {
        let (a, b) =
            ("use crate::b::B; pub struct A;", "use super::a; pub struct B; fn f() -> a::inner::C { todo!() }");
        let all = modules(&[(&[], ""), (&["a"], a), (&["a", "inner"], "pub struct C;"), (&["b"], b)]);
        assert_eq!(all.bad_circles().len(), 1, "{:?}", all.bad_circles());
        let all = modules(&[
            (&[], ""),
            (&["a"], "#[cfg(test)] mod tests { use crate::b::B; }"),
            (&["b"], "use crate::a::A;"),
        ]);
        assert_eq!(all.bad_circles().len(), 0);
    }
}
