"""Markdown and HTML: what is shown, and that nothing in it acts."""

import re
import tracemalloc
from dataclasses import replace
from html.parser import HTMLParser

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings
from markdown_it import MarkdownIt

from chatapp.conversation import Message
from chatapp.errors import UsageError
from chatapp.export import FORMATS, export, render
from chatapp.export.branch import active_branch, split_fences
from chatapp.store import Store
from chatapp.store.rows import ConversationTree

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def test_the_formats() -> None:
    assert sorted(FORMATS) == ["html", "json", "markdown"]
    assert [format_.suffix for format_ in FORMATS.values()] == [".md", ".json", ".html"]
    with pytest.raises(UsageError, match="no export format 'pdf'") as caught:
        render("pdf")
    assert "markdown, json, html" in caught.value.hint


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_ends_in_one_newline(name: str, tree: ConversationTree) -> None:
    for text in (render(name, tree), render(name, tree, tree), render(name)):
        assert text.endswith("\n")
        assert not text.endswith("\n\n")


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_control_characters_are_left_out(name: str, store: Store, tree: ConversationTree) -> None:
    store.select_leaf(tree.conversation.id, tree.messages[1].id)
    text = render(name, store.get_tree(tree.conversation.id))
    assert "First 🙂" in text
    assert "[31m" not in text
    assert CONTROLS.search(text) is None


def test_markdown_shows_the_active_branch(tree: ConversationTree) -> None:
    text = render("markdown", tree)
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert headings == [
        "# Café \\<b> & 北京",
        "## System prompt",
        "## You",
        "## Assistant (tiny \\<model>, 2 of 2, stopped)",
        "## You",
    ]
    assert "> I think\n>\n> so" in text
    assert "First" not in text
    assert text.rstrip().endswith("Then?\n\nMore")
    assert re.search(r"^\*\d{4}-\d\d-\d\d \d\d:\d\d UTC\*$", text, re.MULTILINE)


def test_an_open_fence_does_not_swallow_the_next_message(tree: ConversationTree) -> None:
    text = render("markdown", tree)
    assert "open fence\n~~~\n\n## You" in text
    assert text.count("```") == 2


def test_errors_are_shown(store: Store, tree: ConversationTree) -> None:
    store.select_leaf(tree.conversation.id, tree.messages[3].id)
    shown = store.get_tree(tree.conversation.id)
    assert "*Error: out of \\<memory>*" in render("markdown", shown)
    assert "out of &lt;memory&gt;" in render("html", shown)
    assert "(tiny \\<model>, failed)" in render("markdown", shown)


class Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.data: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)


def test_html_is_escaped_and_whole(tree: ConversationTree) -> None:
    page = Page(render("html", tree))
    assert page.open == []
    assert set(page.tags) == {
        *("html", "head", "meta", "title", "style", "body", "section", "h1", "time"),
        *("article", "h2", "p", "pre", "code", "details", "summary"),
    }
    shown = "".join(page.data)
    assert "<script>alert(1)</script>" in shown
    assert "Café <b> & 北京" in shown
    assert "print('<&>')" in shown
    assert "tiny <model>, 2 of 2, stopped" in shown
    assert {name for name, _ in page.attributes} <= {
        *("lang", "charset", "http-equiv", "content", "name", "class")
    }
    assert any("default-src 'none'" in (value or "") for _, value in page.attributes)
    assert "color-scheme: light dark" in render("html", tree)


def test_html_needs_nothing_from_elsewhere(tree: ConversationTree) -> None:
    assert not re.search(r"(src|href)\s*=|url\(|@import|https?://", render("html", tree))


def test_hostile_titles_stay_text(tree: ConversationTree) -> None:
    title = "</title><script>x</script><img onerror=y>"
    bad = replace(tree, conversation=replace(tree.conversation, title=title))
    assert "script" not in Page(render("html", bad)).tags
    assert "img" not in Page(render("html", bad)).tags


def test_parents_in_a_circle_end(tree: ConversationTree) -> None:
    first, second, *_ = tree.messages
    circle = replace(
        tree,
        messages=(replace(first, parent_id=second.id), second),
        conversation=replace(tree.conversation, active_leaf_id=second.id),
    )
    assert [message.id for message in active_branch(circle)] == [first.id, second.id]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("plain", [("plain", "", True)]),
        ("", [("", "", True)]),
        ("a\n```\nb\n```\nc", [("a", "", True), ("b", "```", True), ("c", "", True)]),
        ("```py\nb", [("b", "```", False)]),
        ("````\n```\nx\n````", [("```\nx", "````", True)]),
        ("~~~ a`b\n```\n~~~~", [("```", "~~~", True)]),
        ("```a`b\nc", [("```a`b\nc", "", True)]),
        ("```\n``` x\n```", [("``` x", "```", True)]),
        ("    ```\nx", [("    ```\nx", "", True)]),
        ("```\n```", [("", "```", True)]),
    ],
)
def test_fences(text: str, pieces: list[tuple[str, str, bool]]) -> None:
    assert [(piece.text, piece.fence, piece.closed) for piece in split_fences(text)] == pieces


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("<!-- never closed", "\\<!-- never closed"),
        ("  <details><summary>x", "  \\<details>\\<summary>x"),
        ("<script>\nalert(1)", "\\<script>\nalert(1)"),
        ("<?php and <![CDATA[", "\\<?php and \\<![CDATA["),
        ("</div>", "\\</div>"),
        (r"\<b> \\<b>", r"\<b> \\\<b>"),
        ("1 < 2, a <- b, <3", "1 < 2, a <- b, <3"),
        ("see <https://example.org/a?b>", "see <https://example.org/a?b>"),
        ("code `List<String>` and List<String>", "code `List<String>` and List\\<String>"),
        ("open ` code\nb` <!-- `c", "open ` code\nb` \\<!-- `c"),
        ("```html\n<!-- kept -->\n```", "```html\n<!-- kept -->\n```"),
        ("- ```\n  <b>\n  ```\n<b>", "- ```\n  <b>\n  ```\n\\<b>"),
        ("1. do\n   ```sh\n   ls <a>\n   ```", "1. do\n   ```sh\n   ls <a>\n   ```"),
        ("```\n<!--", "```\n<!--\n```"),
        ("- ```\n  <b>", "- ```\n  <b>"),
        ("- ```\n  <b>\n<!--", "- ```\n  <b>\n\\<!--"),
        ("1. ~~~", "1. ~~~"),
        ("> ```\n> <b>\n<!--", "> ```\n> <b>\n\\<!--"),
        ("```\n\t```", "```\n\t```\n```"),
        (r"\`<!--`", r"\`\<!--`"),
    ],
)
def test_raw_html_in_markdown_is_text(store: Store, given: str, written: str) -> None:
    conversation = store.create_conversation(given.split("\n")[0])
    asked = store.add_message(conversation, Message.of("user", given)).id
    store.add_message(conversation, Message.of("assistant", "The next message."), asked)
    text = "".join(export("markdown", store, [conversation]))
    assert f"## You\n\n{written}\n\n## Assistant\n\nThe next message.\n" in text


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_every_kind_of_part_is_shown(name: str, store: Store, kinds: int) -> None:
    text = "".join(export(name, store, [kinds]))
    for word in ("look at this", "notes", "a **file**", "Image cat.png (image/png, 2.1 kB)"):
        assert word in text
    for word in ("fetch", "half JSON", "Tool result (an error)", "not found", "more.txt"):
        assert word in text
    assert CONTROLS.search(text) is None
    assert text == render(name, store.get_tree(kinds))


def test_files_in_markdown_stay_in_their_fence(store: Store, kinds: int) -> None:
    text = "".join(export("markdown", store, [kinds]))
    assert "````\na **file**\n```\n<!-- open\n````" in text
    assert "iVBOR" not in text
    assert len(text) < 2000, "the image is named, not written"


def test_images_in_html_are_those_that_cannot_act(store: Store, kinds: int) -> None:
    page = Page("".join(export("html", store, [kinds])))
    assert page.open == []
    sources = [value or "" for name, value in page.attributes if name == "src"]
    assert len(sources) == 1
    assert sources[0].startswith("data:image/png;base64,iVBOR")
    assert "Image evil.svg (image/png, 38 B)" in "".join(page.data)
    assert "script" not in page.tags


def test_an_export_holds_a_few_messages_at_a_time(store: Store) -> None:
    conversation = store.create_conversation("long")
    parent = None
    for _ in range(60):
        said = Message.of("user", "x" * 200_000)
        parent = store.add_message(conversation, said, parent).id
    for name in FORMATS:
        tracemalloc.start()
        size = sum(len(piece) for piece in export(name, store, [conversation]))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert size > 12_000_000
        assert peak < 0.75 * size, name


PIECES = [
    *("```", "~~~", "````", "- ```", "1. ~~~", "  ```", "> ```", "> - ```", "-\t```", "\t```"),
    *("<!--", "  <!-- x", "    <!--", "- <!--", "> <!--", "<script>", "<details>", "-->", "<?php"),
    *("`<b>`", "` <b>", "\\`<!--`", "a ` b", "[x]: <!--", "![a](<!--)", "<![CDATA[", "\\<b"),
    *("text", "", "  text", "    code", "- item", "  - item", "# head", "* * *", "|a|b|"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=7).map("\n".join))
@settings(deadline=None, max_examples=400)
def test_no_message_swallows_what_follows_it(text: str) -> None:
    with Store.in_memory() as store:
        conversation = store.create_conversation("Title", text)
        asked = store.add_message(conversation, Message.of("user", text)).id
        store.add_message(conversation, Message.of("assistant", "End.", text), asked)
        written = "".join(export("markdown", store, [conversation]))
    tokens = MarkdownIt("commonmark").parse(written)
    assert not [token for token in tokens if token.type == "html_block"]
    inside = [piece for token in tokens for piece in token.children or ()]
    assert not [piece for piece in inside if piece.type == "html_inline"]
    headings = [
        tokens[place + 1].content
        for place, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag == "h2" and token.level == 0
    ]
    assert headings == ["System prompt", "You", "Assistant"] or not text.strip("\n")
    assert tokens[-2].content == "End."
