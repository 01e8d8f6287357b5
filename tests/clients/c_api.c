/* Run a SavedModel with the TensorFlow C API: no Python.

   c_api EXPORT INPUT_TENSOR INPUT_FILE RANK DIM... OUTPUT_TENSOR OUTPUT_FILE [OUTPUT_TENSOR OUTPUT_FILE]...

   The files hold float32 values; DIM... is the shape of the input. The tensors' names are in assets/model_card.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"

static void fail(const char *what, const char *why) {
  fprintf(stderr, "%s: %s\n", what, why);
  exit(1);
}

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) fail(what, TF_Message(status));
}

/* "name:1" is output 1 of the operation "name" */
static TF_Output find(TF_Graph *graph, char *name) {
  char *colon = strrchr(name, ':');
  if (colon) *colon = 0;
  TF_Output found = {TF_GraphOperationByName(graph, name), colon ? atoi(colon + 1) : 0};
  if (!found.oper) fail(name, "no such operation");
  return found;
}

int main(int argc, char **argv) {
  int rank = argc > 4 ? atoi(argv[4]) : 0, next = 5 + rank;
  if (rank < 1 || rank > 8 || argc <= next) fail(argv[0], "EXPORT INPUT_TENSOR INPUT_FILE RANK DIM... OUTPUTS...");
  int64_t shape[8], count = 1;
  for (int i = 0; i < rank; i++) count *= shape[i] = atoll(argv[5 + i]);

  TF_Status *status = TF_NewStatus();
  TF_Graph *graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  const char *tag = "serve";
  TF_Session *session = TF_LoadSessionFromSavedModel(options, NULL, argv[1], &tag, 1, graph, NULL, status);
  check(status, "load");

  TF_Tensor *input = TF_AllocateTensor(TF_FLOAT, shape, rank, count * sizeof(float));
  FILE *file = fopen(argv[3], "rb");
  if (!file || fread(TF_TensorData(input), sizeof(float), count, file) != (size_t)count) fail(argv[3], "cannot be read");
  fclose(file);

  TF_Output from = find(graph, argv[2]);
  for (; next + 1 < argc; next += 2) {
    TF_Output to = find(graph, argv[next]);
    TF_Tensor *output = NULL;
    TF_SessionRun(session, NULL, &from, &input, 1, &to, &output, 1, NULL, 0, NULL, status);
    check(status, "run");
    file = fopen(argv[next + 1], "wb");
    size_t size = TF_TensorByteSize(output);
    if (!file || fwrite(TF_TensorData(output), 1, size, file) != size || fclose(file))
      fail(argv[next + 1], "cannot be written");
    TF_DeleteTensor(output);
  }

  TF_DeleteTensor(input);
  TF_CloseSession(session, status);
  TF_DeleteSession(session, status);
  TF_DeleteSessionOptions(options);
  TF_DeleteGraph(graph);
  TF_DeleteStatus(status);
  return 0;
}
