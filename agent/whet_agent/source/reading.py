"""Reads one top-level statement, a *chunk*, into definitions, bindings, references, launches.

A file is cut into chunks, and each is read on its own: after a keystroke only the one
under the cursor is read again. Walks use an explicit stack: text from an editor may nest
deeper than Python's own stack allows.
"""

from __future__ import annotations

from tree_sitter import Node

from whet_agent.source.expressions import Call, Expr, dotted, expression, references
from whet_agent.source.scopes import Chunk, Definition, Scope, interface_of


def summarize(chunk: Node, source: bytes) -> Chunk:
    """Reads one chunk. `source` holds the bytes of the whole file."""
    return _Reader(chunk, source).read()


class _Reader:
    def __init__(self, chunk: Node, source: bytes) -> None:
        self.chunk = chunk
        self.source = source
        self.base = chunk.start_byte
        self.row = chunk.start_point[0]
        self.scope = Scope()
        self.definitions: list[Definition] = []
        self.stack: list[tuple[Node, Scope, Definition | None]] = []

    def read(self) -> Chunk:
        self.stack.append((self.chunk, self.scope, None))
        while self.stack:
            node, scope, parent = self.stack.pop()
            handler = _HANDLERS.get(node.type)
            if handler is None or handler(self, node, scope, parent):
                self.descend(node, scope, parent)
        self.definitions.sort(key=lambda d: (d.row, d.start))
        scopes = [self.scope, *(d.scope for d in self.definitions)]
        roots = frozenset(ref.partition(".")[0] for s in scopes for ref in s.refs)
        return Chunk(tuple(self.definitions), self.scope, interface_of(self.scope), roots)

    def text(self, node: Node) -> str:
        return self.source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def descend(self, node: Node, scope: Scope, parent: Definition | None) -> None:
        for child in reversed(node.named_children):
            self.stack.append((child, scope, parent))

    # Each handler returns whether the node's children are still to be walked.

    def skip(self, _node: Node, _scope: Scope, _parent: Definition | None) -> bool:
        return False

    def name(self, node: Node, scope: Scope, _parent: Definition | None) -> bool:
        path = dotted(node, self.source)
        if path is None:
            self.stack.append(
                (node.child_by_field_name("object") or node.children[0], scope, _parent)
            )
        else:
            scope.refs.add(path)
        return False

    def keyword(self, node: Node, scope: Scope, parent: Definition | None) -> bool:
        value = node.child_by_field_name("value")
        if value is not None:
            self.stack.append((value, scope, parent))
        return False

    def call(self, node: Node, scope: Scope, _parent: Definition | None) -> bool:
        callee = node.child_by_field_name("function")
        arguments = node.child_by_field_name("arguments")
        if callee is None or arguments is None:
            return True
        while callee.type == "parenthesized_expression" and callee.named_children:
            callee = callee.named_children[0]
        launched = _launched(callee, self.source)
        if launched is not None:
            self.launch(launched, arguments, scope)
        elif callee.type != "attribute" or b"jit" in self.source[node.start_byte : node.end_byte]:
            value = expression(node, self.source)
            if isinstance(value, Call):
                scope.applied.append(value)
        return True

    def launch(self, launched: Node, arguments: Node, scope: Scope) -> None:
        scope.launches.append(
            (references(launched, self.source), references(arguments, self.source))
        )

    def return_(self, node: Node, scope: Scope, _parent: Definition | None) -> bool:
        if node.named_children and (value := expression(node.named_children[0], self.source)):
            scope.returned.append(value)
        return True

    def assignment(self, node: Node, scope: Scope, parent: Definition | None) -> bool:
        target = node.child_by_field_name("left") or node.child_by_field_name("name")
        value = node.child_by_field_name("right") or node.child_by_field_name("value")
        if target is None:
            return True
        names = self.targets(target)
        owner = parent.enclosing_class if parent is not None else None
        refs = references(value, self.source) if value is not None else frozenset()
        made = expression(value, self.source) if value is not None else None
        for name in names:
            self.assign(name, refs, made if len(names) == 1 else None, node, scope, owner)
        if value is not None:
            self.stack.append((value, scope, parent))
        if target.type not in ("identifier", "attribute"):
            self.stack.append((target, scope, parent))
        return False

    def assign(
        self, name: str, refs: frozenset[str], made: Expr, node: Node, scope: Scope,
        owner: Definition | None,
    ) -> None:  # fmt: skip
        head, _, attribute = name.partition(".")
        if attribute:
            if head not in ("self", "cls") or owner is None or "." in attribute:
                return
            scope, name = owner.scope, attribute
        scope.assigned.setdefault(name, set()).update(refs)
        if made is not None:
            scope.bound.setdefault(name, []).append(made)
        if scope is self.scope:
            around = node.parent
            whole = around is not None and around.type == "expression_statement"
            statement = around if around is not None and whole else node
            span = (statement.start_byte - self.base, statement.end_byte - self.base)
            scope.spans.setdefault(name, []).append(span)

    def targets(self, target: Node) -> list[str]:
        names: list[str] = []
        stack = [target]
        while stack:
            node = stack.pop()
            if node.type in ("identifier", "attribute"):
                path = dotted(node, self.source)
                if path is not None:
                    names.append(path)
            elif node.type == "subscript":  # TABLE["x"] = kernel
                stack.extend(node.named_children[:1])
            else:
                stack.extend(node.named_children)
        return names

    def loop(self, node: Node, scope: Scope, _parent: Definition | None) -> bool:
        target = node.child_by_field_name("left")
        value = node.child_by_field_name("right")
        if target is not None and value is not None:
            refs = references(value, self.source)
            for name in self.targets(target):
                scope.assigned.setdefault(name, set()).update(refs)
        return True

    def imported(self, node: Node, scope: Scope, _parent: Definition | None) -> bool:
        module = node.child_by_field_name("module_name")
        prefix = "" if module is None else "".join(self.text(module).split())
        for child in node.named_children:
            if module is not None and child.start_byte == module.start_byte:
                continue
            if child.type == "wildcard_import":
                scope.imports.setdefault("*", []).append(prefix)
                continue
            original = (
                child.child_by_field_name("name") if child.type == "aliased_import" else child
            )
            alias = child.child_by_field_name("alias")
            if original is None or original.type != "dotted_name":
                continue
            path = "".join(self.text(original).split())
            name = self.text(alias) if alias is not None else path
            if module is None and alias is None:  # `import a.b` binds `a`
                name = path = path.split(".")[0]
            elif module is not None:
                path = prefix + path if prefix.endswith(".") else f"{prefix}.{path}"
            scope.imports.setdefault(name, []).append(path)
        return False

    def decorated(self, node: Node, scope: Scope, parent: Definition | None) -> bool:
        inner = node.child_by_field_name("definition")
        if inner is None:
            return True
        decorators = [c for c in node.named_children if c.type == "decorator"]
        scope.refs |= self.decorator_refs(decorators)
        self.define(inner, node, decorators, scope, parent)
        return False

    def decorator_refs(self, decorators: list[Node]) -> frozenset[str]:
        return frozenset[str]().union(*(references(d, self.source) for d in decorators))

    def definition(self, node: Node, scope: Scope, parent: Definition | None) -> bool:
        self.define(node, node, [], scope, parent)
        return False

    def define(
        self, node: Node, whole: Node, decorators: list[Node], scope: Scope,
        parent: Definition | None,
    ) -> None:  # fmt: skip
        named = node.child_by_field_name("name")
        name = self.text(named) if named is not None else ""
        parameters = node.child_by_field_name("parameters")
        bases = node.child_by_field_name("superclasses")
        body = node.child_by_field_name("body")
        values = [d.named_children[0] for d in decorators if d.named_children]
        made = Definition(
            name=name,
            qualname=f"{parent.qualname}.{name}" if parent is not None else name,
            kind=_kind(node),
            parent=parent,
            start=whole.start_byte - self.base,
            end=whole.end_byte - self.base,
            start_row=whole.start_point[0] - self.row,
            row=node.start_point[0] - self.row,
            end_row=_last_row(node) - self.row,
            decorators=tuple(self.text(v) for v in values),
            decorator_values=tuple(expression(v, self.source) for v in values),
            decorator_refs=self.decorator_refs(decorators),
            signature=self.text(parameters) if parameters is not None else "",
            bases=tuple(sorted(references(bases, self.source))) if bases is not None else (),
            scope=Scope(parameters=_parameter_names(parameters, self.source)),
        )
        self.definitions.append(made)
        scope.definitions.setdefault(name, []).append(made)
        for outside in (parameters, bases):  # defaults and annotations are read outside
            if outside is not None:
                self.descend(outside, scope, parent)
        if body is not None:
            self.stack.append((body, made.scope, made))


def _kind(node: Node) -> str:
    if node.type == "class_definition":
        return "class"
    return "async" if node.children and node.children[0].type == "async" else "function"


def _last_row(node: Node) -> int:
    """The last line as `ast` has it: a body's trailing comments do not count."""
    while True:
        children = [c for c in node.children if c.type != "comment" and c.end_byte > c.start_byte]
        if not children:
            return node.end_point[0]
        node = children[-1]


def _launched(callee: Node, source: bytes) -> Node | None:
    """`K` of `K[grid](...)`, `K.run(...)`, `K.warmup(...)`; None for any other call."""
    if callee.type == "subscript":
        return callee.child_by_field_name("value")
    if callee.type == "attribute":
        attribute = callee.child_by_field_name("attribute")
        if attribute is not None and source[attribute.start_byte : attribute.end_byte] in (
            b"run",
            b"warmup",
            b"__getitem__",
        ):
            return callee.child_by_field_name("object")
    return None


def _parameter_names(parameters: Node | None, source: bytes) -> frozenset[str]:
    names: set[str] = set()
    for child in parameters.named_children if parameters is not None else ():
        node: Node | None = child
        while node is not None and node.type != "identifier":
            node = node.child_by_field_name("name") or next(iter(node.named_children), None)
        if node is not None:
            names.add(source[node.start_byte : node.end_byte].decode("utf-8", "replace"))
    return frozenset(names)


_HANDLERS = {
    "comment": _Reader.skip,
    "identifier": _Reader.name,
    "attribute": _Reader.name,
    "keyword_argument": _Reader.keyword,
    "call": _Reader.call,
    "return_statement": _Reader.return_,
    "assignment": _Reader.assignment,
    "named_expression": _Reader.assignment,
    "for_statement": _Reader.loop,
    "for_in_clause": _Reader.loop,
    "import_statement": _Reader.imported,
    "import_from_statement": _Reader.imported,
    "decorated_definition": _Reader.decorated,
    "function_definition": _Reader.definition,
    "class_definition": _Reader.definition,
}
