//! The documents of the project: what they link to is there.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn every_link_between_documents_leads_to_something() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let documents = documents(root);
    assert!(documents.len() > 20, "only {} documents", documents.len());
    let mut lost = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for link in links(&text) {
            if !document.parent().unwrap().join(link).exists() {
                lost.push(format!("{}: {link}", document.strip_prefix(root).unwrap().display()));
            }
        }
    }
    assert!(lost.is_empty(), "nothing is there:\n{}", lost.join("\n"));
}

/// All Markdown below a folder, without what was built or installed.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            found.extend(documents(&path));
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found
}

/// What `[…](…)` leads to, where that is a file: without the place in it.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#', '\n', ' ']).next())
        .filter(|link| !link.is_empty() && !link.contains("://"))
}
