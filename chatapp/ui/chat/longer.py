"""A longer context for the model that is loaded: how long, at what cost, and loading it."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from chatapp.chat_settings import ChatSettings
from chatapp.engine.probe import look_at_machine
from chatapp.engine.protocol import ModelDescription
from chatapp.errors import ModelError
from chatapp.gguf.fit import KvType, Machine, count_needs, gpu_needs, largest_context
from chatapp.gguf.model_info import ModelInfo
from chatapp.gguf.size import size_text
from chatapp.library.headers import read_info
from chatapp.store import Store
from chatapp.ui.chat.flow import ChatFlow
from chatapp.ui.chat.models import Models
from chatapp.ui.forms.room import Offer
from chatapp.ui.wording import grouped

_TITLE = "Load a longer context"


@dataclass(frozen=True, slots=True)
class Longer:
    """What can be had."""

    n_ctx: int
    """0: nothing longer."""
    offer: Offer


async def find_longer(model: ModelDescription, wanted: int) -> Longer:
    """The context of twice the length, or the next power of two that holds `wanted` tokens, as far
    as the model was trained and memory allows."""
    if model.host:
        return _closed("The server has the model, and says how long it is.")
    if not model.n_ctx_train or model.n_ctx >= model.n_ctx_train:
        trained = f"This model was trained for {grouped(model.n_ctx_train)} tokens, and has them."
        return _closed(trained if model.n_ctx_train else "Nobody knows how long it could be.")
    try:
        info = await asyncio.to_thread(read_info, Path(model.path))
    except ModelError as error:
        return _closed(error.message)
    machine = await asyncio.to_thread(look_at_machine)
    return choose_longer(model, info, machine, wanted)


def choose_longer(
    model: ModelDescription, info: ModelInfo, machine: Machine | None, wanted: int
) -> Longer:
    """The same on a machine that is known; None: nobody knows it."""
    kv_type: KvType = "q8_0" if model.kv_type == "q8_0" else "f16"
    n_ctx = model.n_ctx * 2
    while n_ctx < wanted:
        n_ctx *= 2
    n_ctx = min(n_ctx, model.n_ctx_train)
    if machine is not None:
        machine = _without(model, info, machine, kv_type)
        layers = model.gpu_layers if machine.gpus else 0
        most = largest_context(info, machine, kv_type=kv_type, gpu_layers=layers)
        n_ctx = min(n_ctx, most)
    if n_ctx <= max(model.n_ctx, wanted):
        return _closed("Memory holds none that is long enough.")
    needs = count_needs(info, n_ctx, kv_type).total
    more = needs - count_needs(info, model.n_ctx, kv_type).total
    memory = f"{size_text(needs)} of memory, {size_text(more)} more than now"
    again = "The chat is read again."
    title = f"Load a context of {grouped(n_ctx)} tokens instead of {grouped(model.n_ctx)}"
    return Longer(n_ctx, Offer("longer", title, f"{memory}. {again}"))


def _closed(why: str) -> Longer:
    return Longer(0, Offer("longer", _TITLE, why, False))


def _without(
    model: ModelDescription, info: ModelInfo, machine: Machine, kv_type: KvType
) -> Machine:
    """The machine as it is when the model is out of memory: it is loaded again."""
    needs = count_needs(info, model.n_ctx, kv_type)
    on_gpu = gpu_needs(info, needs, model.gpu_layers)
    gpus = machine.gpus
    if gpus and on_gpu:
        first = replace(gpus[0], free_bytes=gpus[0].free_bytes + on_gpu)
        gpus = (first, *gpus[1:])
    host = max(0, needs.total - on_gpu) if machine.free_bytes else 0
    free = min(machine.total_bytes, machine.free_bytes + host)
    return replace(machine, free_bytes=free, gpus=gpus)


async def load_longer(
    models: Models,
    flow: ChatFlow,
    store: Store,
    conversation_id: int,
    settings: ChatSettings,
    n_ctx: int,
) -> bool:
    """Load the model with this context, which its conversation keeps. False: it did not load, which
    was said, and the context is as it was."""
    model = models.host.model
    if model is None:
        return False
    path, before = Path(model.path), model.n_ctx
    models.host.plan(path, n_ctx, None)
    if not await models.load(path):
        models.host.plan(path, before, None)
        await models.load(path)
        return False
    changed = msgspec.structs.replace(settings, n_ctx=n_ctx)
    if flow.conversation is not None and flow.conversation.id == conversation_id:
        await flow.change(changed)
    else:
        await asyncio.to_thread(store.set_settings, conversation_id, changed.write())
    return True
