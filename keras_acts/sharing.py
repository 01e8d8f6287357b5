"""The little that Keras knows and does not say in public.

Which layer calls which, and which objects a file shares.
"""

from __future__ import annotations

import keras

from keras_acts.compat import all_layers, get_global, record_shared_object, shared_object


def activation_owner(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """Return the layer that has `layer` as its ``activation=``, of those being called now."""
    context = get_global("current_call_ctx")
    if context is None:
        return None
    for owner in all_layers(context.entry_layer):
        activation = getattr(owner, "activation", None)
        recurrent_activation = getattr(owner, "recurrent_activation", None)
        if layer in (activation, recurrent_activation):
            return owner
    return None


def identity_for_file(layer: keras.layers.Layer) -> dict[str, int]:
    """Return what a config says so that a layer used in two places is one again when loaded.

    Keras marks a shared object too, but only where it meets it for the second time: the first place
    is a copy by then, and the file cannot be loaded. Outside of a file this is empty.
    """
    # Keras' table of the objects in the file being saved; there is none at other times
    if get_global("shared_objects/id_to_config_map") is None:
        return {}
    return {"shared_object_id": id(layer)}


def shared_layer(identity: int | None) -> keras.layers.Layer | None:
    """Return the layer of this identity that the file being loaded has made already, or None."""
    if identity is None:
        return None
    return shared_object(identity)


def share(layer: keras.layers.Layer, identity: int | None) -> None:
    """Remember the layer for the other places of the file being loaded."""
    if identity is not None:
        record_shared_object(layer, identity)
