// pickle_globals.c - which names a pickle may hold. Found by taking apart what torch.save writes and what fastai 2.8
// exports of text classifiers (from columns and folders, with functions of a notebook, several labels per text, numbers
// as labels, metrics, half precision, protocols 2 to 5); older spellings of the same things beside them. A name here is
// allowed to stand in the file; none is ever called.
#include <string.h>

#include "format/pickle.h"

// Packages whose every name becomes a record.
static const char *const packages[] = {
    "torch",                       // tensors, modules, activations
    "fastai",                      // the learner, its data, its layers
    "fastcore",                    // L and friends
    "fasttransform",               // fastai's transforms since 2.8
    "fastprogress",                // its progress callback
    "plum",                        // fasttransform's method tables
    "spacy",                       // the word tokenizer: its rules and vocabulary
    "thinc",         "confection", // spaCy's configuration
    "pandas",                      // the emptied data frame, and the class of its rows
    "sklearn",                     // fastai's metrics wrap its functions
    "typing",                      // annotations of functions
    "cloudpickle", // fastai exports by it: functions written in a notebook travel as records of their code
};

struct name {
  const char *module, *name;
};

// Single names of modules that hold others, which would run something.
static const struct name names[] = {
    {"collections", "OrderedDict"},
    {"collections", "Counter"},
    {"collections", "defaultdict"},
    {"collections", "deque"},
    {"builtins", "set"}, // plain data
    {"builtins", "frozenset"},
    {"builtins", "list"},
    {"builtins", "tuple"},
    {"builtins", "dict"},
    {"builtins", "int"},
    {"builtins", "long"},
    {"builtins", "float"},
    {"builtins", "complex"},
    {"builtins", "bool"},
    {"builtins", "str"},
    {"builtins", "unicode"},
    {"builtins", "bytes"},
    {"builtins", "bytearray"},
    {"builtins", "object"},
    {"builtins", "type"},
    {"builtins", "slice"},
    {"builtins", "range"},
    {"builtins", "xrange"},
    {"builtins", "print"},   // a learner's logger
    {"builtins", "getattr"}, // how Python pickles a method: getattr(object, "name")
    {"copyreg", "_reconstructor"},
    {"functools", "partial"}, // an optimizer with its settings
    {"operator", "attrgetter"},
    {"operator", "itemgetter"},
    {"inspect", "Signature"}, // fastcore keeps the signature of each transform
    {"inspect", "Parameter"},
    {"inspect", "_ParameterKind"},
    {"inspect", "_empty"},
    {"pathlib", "Path"},
    {"pathlib", "PosixPath"},
    {"pathlib", "WindowsPath"},
    {"pathlib", "PurePath"},
    {"pathlib", "PurePosixPath"},
    {"pathlib", "PureWindowsPath"},
    {"pathlib._local", "Path"}, // Python 3.13
    {"pathlib._local", "PosixPath"},
    {"pathlib._local", "WindowsPath"},
    {"random", "Random"},  // a data loader's generator
    {"re", "_compile"},    // spaCy's regular expressions
    {"_codecs", "encode"}, // bytes in protocol 2
    {"numpy", "ndarray"},  // lengths of texts, labels, metrics
    {"numpy", "dtype"},
    {"numpy", "bool"},
    {"numpy", "bool_"},
    {"numpy", "int32"},
    {"numpy", "int64"},
    {"numpy", "float32"},
    {"numpy", "float64"},
    {"numpy", "less"}, // callbacks that watch a metric
    {"numpy", "greater"},
    {"numpy.core.multiarray", "_reconstruct"},
    {"numpy.core.multiarray", "scalar"},
    {"numpy.core.numeric", "_frombuffer"},
    {"numpy._core.multiarray", "_reconstruct"},
    {"numpy._core.multiarray", "scalar"},
    {"numpy._core.numeric", "_frombuffer"},
};

// Python 2's name of a module is its Python 3 name here: protocols up to 2 write the former.
static struct pickle_text current_module(struct pickle_text module) {
  static const struct name renamed[] = {{"__builtin__", "builtins"}, {"copy_reg", "copyreg"}};
  for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
    if (pickle_text_is(module, renamed[i].module))
      return (struct pickle_text){renamed[i].name, strlen(renamed[i].name)};
  return module;
}

bool pickle_global_allowed(struct pickle_text module, struct pickle_text name) {
  for (size_t i = 0; i < sizeof packages / sizeof *packages; i++) {
    size_t len = strlen(packages[i]);
    if (module.len >= len && memcmp(module.bytes, packages[i], len) == 0 &&
        (module.len == len || module.bytes[len] == '.'))
      return true;
  }
  module = current_module(module);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (pickle_text_is(module, names[i].module) && pickle_text_is(name, names[i].name)) return true;
  return false;
}
