"""The little that Keras knows and does not say in public.

Which layer calls which, and which objects a file shares.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_acts.compat import all_layers, get_global, record_shared_object, shared_object


def activation_owner(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Return the layer, among those that are being called now, that has `layer` as its ``activation=``."""
    context = get_global("current_call_ctx")
    called = all_layers(context.entry_layer) if context is not None else ()
    for owner in called:
        if layer in (
            getattr(owner, "activation", None),
            getattr(owner, "recurrent_activation", None),
        ):
            return owner
    return None


def identity_for_file(layer: keras.layers.Layer) -> dict[str, int]:
    """Return what a config says so that a layer used in two places is one layer again in the file being saved.

    Keras marks a shared object too, but only where it meets it for the second time: the first place
    is a copy by then, and the file cannot be loaded. Outside of a file this is empty.
    """
    saving = get_global("shared_objects/id_to_config_map") is not None
    return {"shared_object_id": id(layer)} if saving else {}


def shared_layer(identity: int | None) -> Any:
    """Return the layer of this identity that was made already for the file being loaded, or None."""
    return None if identity is None else shared_object(identity)


def share(layer: keras.layers.Layer, identity: int | None) -> None:
    """Remember the layer for the other places of the file being loaded."""
    if identity is not None:
        record_shared_object(layer, identity)
