"""Text the proofs run on when the user gives none. Written for this purpose; part of the program.

`TOKENIZER_TEXTS` is where tokenizers disagree: scripts, contractions, digits, runs of white space,
code, combining marks and emoji. `PROSE` is plain English for perplexity and logits.
"""

from pathlib import Path

from convert.errors import UsageError

PROSE = """\
The river had risen in the night, and by morning the lower road was under water. Anna walked up
the hill with her brother's old coat over her shoulders and looked across the valley. On the far
side the mill still turned, slowly, as if nothing had happened. She counted eleven sheep on the
bank and wondered where the twelfth had gone.

"You should have called me," said Thomas when he came out of the house. "I would have moved the
boat before it was dark."

"It was dark already," she answered. "And you were asleep."

They went down together to see what could be saved. The boat lay against the bridge, full of
leaves and brown water, but it was whole. It took them most of the day to empty it, and when they
were done the sun stood low and yellow behind the trees. They talked about the winter before, when
the river had frozen and the children had crossed it on foot to school. Nobody had believed that
it would hold, but it held for nine days, and on the tenth the ice broke with a noise like a door.

Most machines are simple once you know what they are for. A clock counts the swings of a weight. A
lock asks a question that only one key can answer. A program reads some numbers, changes them, and
writes them down again; what we call its meaning is in the eye of the person who wrote it and of
the one who uses it. If you want to understand a program, begin with what goes in and what comes
out, and only then look at the middle. If it is your own program, begin by asking what you would
be sorry to lose, and write a test for that.

What is the capital of France? Paris is the capital of France. How many days are there in a year?
There are three hundred and sixty-five, and one more every fourth year. Can you help me to write a
letter? Of course: tell me who it is for, what it should say, and how long it may be.

In the evening the wind turned. Anna lit the lamp, sat down at the table and wrote to her sister
that the boat was safe, that the sheep were found, all twelve of them, and that Thomas sent his
love. Then she read the letter once more, crossed out the last line, and wrote it again in a
better hand.
"""

TOKENIZER_TEXTS: tuple[str, ...] = (
    PROSE,
    "",
    " ",
    "a",
    " a",
    "a ",
    "  two  spaces   three    four     five",
    "\t\ttabs\tand \t mixed\n",
    "\n\n\nnew lines\r\nand\r\rreturns \n \n  \n",
    "trailing   \n   leading",
    "no-break\u00a0space thin\u2009space wide\u3000space zero\u200bwidth",
    "I'm you're he's we'll they've I'd don't O'Neill's 'quoted' I'M YOU'RE HE'S can’t",
    "1 12 123 1234 12345 3.14159 1,000,000 1e-5 0xFF ½ ² ٣٤٥ １２３ Ⅷ",
    'Hello, world! (really?) [yes] {no} <maybe> "quotes" #hash @at $1.50 50% a/b c\\d ~ ^ | & * _',
    "snake_case camelCase PascalCase kebab-case SCREAMING_CASE x1y2z3 __init__",
    "...!!!???---===***///   ...   !?",
    "def f(x: int) -> str:\n    if x > 0:\n        return f\"{x!r}\"\n\n    return ''\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i] * b[i];  // dot\n}\n",
    "SELECT id, name FROM users WHERE id >= 10 AND name LIKE '%o''b%';",
    '$ git log --oneline | head -n 5 && echo "done" > /dev/null 2>&1',
    "| a | b |\n|---|---|\n| 1 | 2 |\n\n- item\n  - nested\n\n```python\nprint()\n```\n",
    "https://example.org/a/b?c=d&e=%20f#g mail@example.org 192.168.0.1 12:34:56 2024-02-29",
    "naïve café Ångström Straße garçon señor Łódź İstanbul ﬁne",
    "e\u0301 combining a\u0308o\u0302 versus é ä ô",
    "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία.",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा",
    "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "我能吞下玻璃而不伤身体。北京，上海；東京。",
    "いろはにほへと ちりぬるを カタカナ ﾊﾝｶｸ",
    "다람쥐 헌 쳇바퀴에 타고파",
    "🙂 👍🏽 👨‍👩‍👧‍👦 🇨🇭 ❤️ ☃ ∑∫√≠≤ → ← ♫ €£¥",
    "mixed北京English русский 123中文 a🙂b",
    "\u0000\u0001\u001b[31mred\u001b[0m\u007f\u0085",
    "\ufeffbyte order mark \ufffd replacement \U0010ffff last",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "thethethethe THETHE ThE tHe the_the the.the",
)


def read_text(path: Path | None) -> str:
    """The first MiB of the user's text, `PROSE` where none is given. Raises `UsageError`."""
    if path is None:
        return PROSE
    try:
        with path.open("rb") as file:
            return file.read(1 << 20).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
