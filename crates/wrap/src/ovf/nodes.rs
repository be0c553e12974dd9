//! Elements and attributes by their names, whatever their namespaces.

use roxmltree::Node;

/// All elements of that name, however deep.
pub(super) fn elements<'a, 'i>(
    within: Node<'a, 'i>,
    tag: &'static str,
) -> impl Iterator<Item = Node<'a, 'i>> {
    within.descendants().filter(move |node| node.tag_name().name() == tag)
}

/// An attribute, whatever its namespace.
pub(super) fn attribute<'a>(node: &Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|attribute| attribute.name() == name).map(|attribute| attribute.value())
}
