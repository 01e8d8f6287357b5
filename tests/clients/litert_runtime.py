"""LiteRT: converted to built-in operations only, and run by ai-edge-litert."""

import compare


def predict(folder, x):
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=["serving_default"])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    interpreter = Interpreter(model_content=converter.convert())
    custom = [
        op["op_name"] for op in interpreter._get_ops_details() if op["op_name"].startswith("Flex")
    ]
    assert not custom, custom
    return interpreter.get_signature_runner("serving_default")(**x)


if __name__ == "__main__":
    compare.main("LiteRT", predict, 1e-5)
