"""OpenVINO, which reads the SavedModel itself.

Its CPU plugin computes in bfloat16 unless told otherwise.
"""

import compare


def predict(folder, x):
    import openvino

    model = openvino.convert_model(folder)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {output.get_any_name(): value for output, value in compiled(x).to_dict().items()}


if __name__ == "__main__":
    compare.main("OpenVINO", predict, 1e-5)
