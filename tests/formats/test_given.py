"""What the model is given in both turns, token by token, with every family."""

from pathlib import Path

from chatapp.engine.assemble import Assembler
from chatapp.engine.chat.prompt import build_prompt
from chatapp.engine.llama.model import LoadedModel
from chatapp.engine.protocol import ChatMessage, LoadOptions
from tests.formats.family import AND_THEN, HELLO, Family


def test_the_prompts_of_both_turns(tmp_path: Path, family: Family) -> None:
    model = LoadedModel(LoadOptions(path=str(family.write(tmp_path)), n_ctx=512), lambda _: None)
    try:
        vocab, words = model.vocab, family.words
        asked = [ChatMessage.of("user", HELLO)]
        first, second = family.prompts()
        given = build_prompt(vocab, model.manner.template, asked, form=model.manner.form)
        assert given.tokens == words.tokenize(first)
        said = words.tokenize(family.first.raw)[:-1]
        assembler = Assembler(model.manner.form, in_thought=given.opens_thought)
        for token in said:
            control = vocab.is_control(token)
            assembler.feed(vocab.piece(token, special=control), control=control)
        assembler.finish()
        asked += [
            ChatMessage("assistant", assembler.parts, said),
            ChatMessage.of("user", AND_THEN),
        ]
        given = build_prompt(vocab, model.manner.template, asked, form=model.manner.form)
        assert given.tokens == words.tokenize(second)
    finally:
        model.close()
