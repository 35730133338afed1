"""Mathematics in answers: readable where that is sure, else whole; prices stay prices."""

import re
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatapp.ui.markdown.document import StreamingMarkdown
from chatapp.ui.markdown.flow import Line
from chatapp.ui.markdown.inline import parse_inline
from chatapp.ui.markdown.notation import write_maths


def texts(source: str, width: int = 60) -> list[str]:
    document = StreamingMarkdown(source)
    document.finish()
    lines = [document.line(y, width) for y in range(document.height(width))]
    return ["".join(run.text for run in line.runs).rstrip() for line in lines]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (r"\frac{a+b}{c}", "(a+b)/c"),
        (r"\sum_{i=1}^n x_i^{n+1}", "∑ᵢ₌₁ⁿ xᵢⁿ⁺¹"),
        (r"\int_{-\infty}^{\infty} e^{-x^2}\,dx = \sqrt{\pi}", "∫_(-∞)^∞ e^(-x²) dx = √π"),
        (r"x=\frac{-b\pm\sqrt{b^2-4ac}}{2a}", "x = (-b±√(b²-4ac))/(2a)"),
        (r"2\frac12x", "2(1/2)x"),
        (r"\frac{1}{2}!", "(1/2)!"),
        (r"\frac{a}{b}\div\frac{c}{d}", "(a/b)÷(c/d)"),
        (r"{1+2}^3", "(1+2)³"),
        (r"\frac{\partial f}{\partial x}", "∂f/∂x"),
        (r"\text{softmax}\left(\frac{QK^T}{\sqrt{d_k}}\right)V", "softmax(QKᵀ/√dₖ)V"),
        (r"x \in\mathbb{R}, \forall\varepsilon>0", "x ∈ ℝ, ∀ε > 0"),
        (r"\sqrt2x", "√2 x"),
        (r"\sin^2x + 2\cos x", "sin²x + 2 cos x"),
        ("\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}", "a = b\nc = d"),
    ],
)
def test_what_is_sure_is_written_with_unicode(source: str, shown: str) -> None:
    assert write_maths(source) == shown


@pytest.mark.parametrize(
    "source",
    [
        r"\frac{a}{", r"\foo{a}", "a } b", r"\begin{cases} 1 \\ 2 \end{cases}", r"\overline{AB}",
        r"a \\ \frac{1 \\ 2}{3}", r"\left", "x_", "^", "{" * 60, r"\sqrt[", r"\begin{align} a",
        "50%",
    ],
)  # fmt: skip
def test_what_is_not_sure_has_no_reading(source: str) -> None:
    assert write_maths(source) is None


@given(st.lists(st.sampled_from([
    "\\frac", "{", "}", "a", "1", "+", "^", "_", "\\sqrt", "[", "]", "\\left", "(", ")", "\\\\",
    "&", "\\begin{align}", "\\end{align}", "\\text", " ", "\\alpha", "\\in", "\\hat", "|", "\\sin",
]), max_size=25).map("".join))  # fmt: skip
def test_a_reading_has_every_letter_and_number(source: str) -> None:
    shown = write_maths(source)
    if shown is not None:
        plain = re.sub(r"\\(begin|end)\{\w+\}|\\[a-z]+", "", source)
        small = str.maketrans("¹₁ᵃₐ", "11aa")
        for char in "a1":
            assert shown.translate(small).count(char) >= plain.count(char)


def test_formulas_in_text_and_in_lines_of_their_own() -> None:
    assert texts(r"Inline \( a^2 + b^2 \), $E = mc^2$ and $$\sum_{i=1}^n i$$.") == [
        "Inline a² + b², E = mc² and ∑ᵢ₌₁ⁿ i."
    ]
    assert texts("so\n\\[\nf(x) = a\n+ b\n- c\n\\]\nwhere") == ["so", "f(x) = a + b - c", "where"]
    assert texts("1. a\n   $$\n   x_1\n   $$\n2. b") == ["1. a", "   x₁", "2. b"]
    assert texts("> $$x_1$$") == ["▌ x₁"]
    assert texts("$$ y = 1 $$, and so on") == ["y = 1, and so on"]
    assert texts("| a | b |\n|-|-|\n| $x^2$ | \\(y_1\\) |")[2:] == ["x² │ y₁"]


def test_what_is_unsure_is_shown_whole_and_nothing_in_it_is_emphasis() -> None:
    for source in (
        r"\[ y = \begin{cases} 1 & x*2*3 \\ 0 & `x` \end{cases} \]",
        r"\(\operatorname*{foo}_a *b* \unknown{c_d_e}\)",
        r"$\unknown{a}_1 * b * _c_$",
        "\\begin{matrix}\n1 & 2 \\\\\n3 & 4\n\\end{matrix}",
    ):
        assert texts(source) == source.split("\n")
    assert texts("$$\nnever_closed_ \\\\\n* b\n\n# next")[:3] == ["$$", "never_closed_ \\\\", "* b"]


@pytest.mark.parametrize("kept", [r"\(", r"\)", r"\[", r"\]", r"\{a\}", r"\\", r"C:\dir\(x86\[",
                                  r"\\server\share", r"\[1\]", r"\,", r"\alpha"])  # fmt: skip
def test_a_backslash_that_is_no_markdown_is_kept(kept: str) -> None:
    assert texts(f"see {kept} here **b**") == [f"see {kept} here b"]


def test_a_backslash_still_escapes_markdown() -> None:
    assert texts(r"\*a\* \_b\_ \`c\` \# \$5 \~~ \!") == ["*a* _b_ `c` # $5 ~~ !"]


@pytest.mark.parametrize(
    "prices",
    [
        "It costs $5 and $10", "$3.50/$4.50 or $20-$30.", "from $10 million to $20 million$",
        "US$5 and AU$ 10", "$HOME/bin:$PATH and $HOME", "$5, $6 and 7$ more", "$1 = 2 and 3$ more",
        "\\$5 \\$6", "$ 5$", "a$b$c",
    ],
)  # fmt: skip
def test_prices_and_variables_are_no_mathematics(prices: str) -> None:
    assert texts(prices) == [prices.replace("\\$", "$")]


def test_nothing_is_mathematics_in_code() -> None:
    assert texts("`$x^2$ \\(y\\)`") == [r"$x^2$ \(y\)"]
    assert texts("```\n$$x_1$$\n\\[ y \\]\n```") == [" $$x_1$$", r" \[ y \]"]


def test_hostile_formulas_end() -> None:
    for hostile in ("$a" * 5000, "\\(" * 5000, "\\[x" * 5000, "$$" * 5000, "\\begin{a}" * 2000):
        parse_inline(hostile[:4096])
        assert texts(hostile)


_PIECES = [
    "$", "$$", "$x_1$", "$$\n", "\n$$\n", "\\[", "\\]", "\n\\[\n", "\n\\]", "\\(", "\\)", "\\\\",
    "\\{", "\\begin{align}\n", "\\end{align}", "\\begin{x}", "\\frac{a}{b}", "a", "5 ", " and ",
    "\n", "\n\n", "- ", "> ", "1. ", "|", "*", "**", "`", "```\n", ".", " ", "# ", "x^2", "\t",
    "[1]", "word " * 250,
]  # fmt: skip
sources = st.lists(st.sampled_from(_PIECES), max_size=30).map("".join)


@given(sources, st.sampled_from([12, 60]), st.lists(st.integers(1, 9), min_size=1, max_size=5))
@example("a $5 word \\(b " + "word " * 900 + "\\) c", 60, [7])
@example("$a " + "word " * 60 + "$ " + "word " * 600, 60, [7])
def test_cuts_between_pieces_change_nothing(source: str, width: int, sizes: list[int]) -> None:
    document = StreamingMarkdown()
    position, before = 0, list[Line]()
    while position < len(source):
        size = sizes[position % len(sizes)] * (1 + len(source) // 400)
        document.feed(source[position : position + size])
        position += size
        first = document.changed_from(width)
        now = [document.line(y, width) for y in range(document.height(width))]
        assert now[:first] == before[:first]
        before = now
    document.finish()
    shown = ["".join(run.text for run in document.line(y, width).runs).rstrip()
             for y in range(document.height(width))]  # fmt: skip
    assert shown == texts(source, width)


@given(sources)
def test_no_letter_of_a_formula_is_lost(source: str) -> None:
    """Names of commands may become signs; everything else is there, written small perhaps."""
    plain = re.sub(r"\\[a-z]+(\{(align|x)\})?", "", source)
    missing = Counter(re.findall("[a-z]", plain)) - Counter("".join(texts(source, 500)))
    assert not missing
