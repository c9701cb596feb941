/* SPDX-License-Identifier: MIT
 * evy_python.h - the functions of CPython that the bridge needs, looked up in the running process.
 * The library is never linked to libpython.  All of them belong to the stable ABI of Python 3.9 and later, or
 * are exported by every CPython since.  Spec: https://docs.python.org/3/c-api/stable.html */
#ifndef EVY_PYTHON_H
#define EVY_PYTHON_H
#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The head of every object where the interpreter has a global lock. */
typedef struct evy_py {
    intptr_t refcount;
    struct evy_py *type;
} evy_py;

typedef struct {
    int slot;
    void *function;
} evy_py_slot;

typedef struct {
    const char *name;
    int basicsize, itemsize;
    unsigned int flags;
    evy_py_slot *slots;
} evy_py_spec;

typedef struct {
    const char *name;
    int type;
    ptrdiff_t offset;
    int flags;
    const char *doc;
} evy_py_member;
typedef evy_py *(*evy_py_call_slot)(evy_py *, evy_py *, evy_py *);
/* A call with its arguments in an array, the highest bit of their number set aside (PEP 590). */
typedef evy_py *(*evy_py_vector_call)(evy_py *, evy_py *const *, size_t, evy_py *);

/* name, result, arguments */
#define EVY_PY_FUNCTIONS(F) \
    F(PyGILState_Ensure, int, (void)) \
    F(PyGILState_Release, void, (int)) \
    F(PyEval_SaveThread, void *, (void)) \
    F(PyEval_RestoreThread, void, (void *)) \
    F(Py_IncRef, void, (evy_py *)) \
    F(Py_DecRef, void, (evy_py *)) \
    F(PyType_FromSpec, evy_py *, (evy_py_spec *)) \
    F(_PyObject_New, evy_py *, (evy_py *)) \
    F(PyObject_Free, void, (void *)) \
    F(PyObject_GetAttrString, evy_py *, (evy_py *, const char *)) \
    F(PyObject_GetAttr, evy_py *, (evy_py *, evy_py *)) \
    F(PyObject_GenericGetAttr, evy_py *, (evy_py *, evy_py *)) \
    F(PyObject_SetAttr, int, (evy_py *, evy_py *, evy_py *)) \
    F(PyObject_Call, evy_py *, (evy_py *, evy_py *, evy_py *)) \
    F(PyObject_CallObject, evy_py *, (evy_py *, evy_py *)) \
    F(PyObject_IsTrue, int, (evy_py *)) \
    F(PyObject_GetIter, evy_py *, (evy_py *)) \
    F(PyIter_Next, evy_py *, (evy_py *)) \
    F(PyErr_Occurred, evy_py *, (void)) \
    F(PyErr_Clear, void, (void)) \
    F(PyErr_Fetch, void, (evy_py **, evy_py **, evy_py **)) \
    F(PyErr_NormalizeException, void, (evy_py **, evy_py **, evy_py **)) \
    F(PyException_SetTraceback, int, (evy_py *, evy_py *)) \
    F(PyErr_WriteUnraisable, void, (evy_py *)) \
    F(PyDict_New, evy_py *, (void)) \
    F(PyDict_Copy, evy_py *, (evy_py *)) \
    F(PyDict_SetItem, int, (evy_py *, evy_py *, evy_py *)) \
    F(PyDict_GetItemWithError, evy_py *, (evy_py *, evy_py *)) \
    F(PyList_New, evy_py *, (ptrdiff_t)) \
    F(PyList_Size, ptrdiff_t, (evy_py *)) \
    F(PyList_GetItem, evy_py *, (evy_py *, ptrdiff_t)) \
    F(PyTuple_New, evy_py *, (ptrdiff_t)) \
    F(PyTuple_Size, ptrdiff_t, (evy_py *)) \
    F(PyTuple_GetItem, evy_py *, (evy_py *, ptrdiff_t)) \
    F(PyTuple_SetItem, int, (evy_py *, ptrdiff_t, evy_py *)) \
    F(PyBytes_FromStringAndSize, evy_py *, (const char *, ptrdiff_t)) \
    F(PyBytes_AsStringAndSize, int, (evy_py *, char **, ptrdiff_t *)) \
    F(PyUnicode_DecodeLatin1, evy_py *, (const char *, ptrdiff_t, const char *)) \
    F(PyUnicode_InternFromString, evy_py *, (const char *)) \
    F(PyUnicode_AsUTF8AndSize, const char *, (evy_py *, ptrdiff_t *)) \
    F(PyLong_FromVoidPtr, evy_py *, (void *))

#define EVY_PY_FIELD(name, result, arguments) result(*name) arguments;
typedef struct {
    EVY_PY_FUNCTIONS(EVY_PY_FIELD)
    /* Not in every version: NULL where the older way is to be taken. */
    evy_py *(*PyObject_Vectorcall)(evy_py *, evy_py *const *, size_t, evy_py *);
    evy_py *none, *yes, *no; /* None, True, False */
    evy_py *bytes_type, *unicode_type, *list_type, *tuple_type, *generator_type;
    /* Stands for the answer of every request that is over; kept for the life of the process, because
     * applications may keep functions of environ that long.  Set by the first who attaches. */
    evy_py *over;
} evy_py_api;
#undef EVY_PY_FIELD

static inline void *evy_py_symbol(const char *name, const char **missing) {
    void *found = dlsym(RTLD_DEFAULT, name);
    if (found == NULL && *missing == NULL) *missing = name;
    return found;
}

/* The name of what this process lacks; NULL: it is CPython. */
static inline const char *evy_py_load(evy_py_api *api) {
    const char *missing = NULL;
    memset(api, 0, sizeof *api);
#define EVY_PY_LOAD(name, result, arguments) *(void **)(&api->name) = evy_py_symbol(#name, &missing);
    EVY_PY_FUNCTIONS(EVY_PY_LOAD)
#undef EVY_PY_LOAD
    api->none = (evy_py *)evy_py_symbol("_Py_NoneStruct", &missing);
    api->yes = (evy_py *)evy_py_symbol("_Py_TrueStruct", &missing);
    api->no = (evy_py *)evy_py_symbol("_Py_FalseStruct", &missing);
    api->bytes_type = (evy_py *)evy_py_symbol("PyBytes_Type", &missing);
    api->unicode_type = (evy_py *)evy_py_symbol("PyUnicode_Type", &missing);
    api->list_type = (evy_py *)evy_py_symbol("PyList_Type", &missing);
    api->tuple_type = (evy_py *)evy_py_symbol("PyTuple_Type", &missing);
    api->generator_type = (evy_py *)evy_py_symbol("PyGen_Type", &missing);
    *(void **)(&api->PyObject_Vectorcall) = dlsym(RTLD_DEFAULT, "PyObject_Vectorcall");
    return missing;
}

/* Swift sees the pointers above as optional; these are not. */
#define P const evy_py_api *py
static inline int evy_py_ensure(P) { return py->PyGILState_Ensure(); }
static inline void evy_py_release(P, int state) { py->PyGILState_Release(state); }
/* Without the interpreter lock between the two. */
static inline void *evy_py_let_go(P) { return py->PyEval_SaveThread(); }
static inline void evy_py_take_back(P, void *state) { py->PyEval_RestoreThread(state); }
static inline void evy_py_incref(P, evy_py *o) { py->Py_IncRef(o); }
static inline void evy_py_decref(P, evy_py *o) { py->Py_DecRef(o); }
static inline evy_py *evy_py_new(P, evy_py *type) { return py->_PyObject_New(type); }
/* For a dealloc function: instances of such types hold their type. */
static inline void evy_py_free(P, evy_py *o) {
    evy_py *type = o->type;
    py->PyObject_Free(o);
    py->Py_DecRef(type);
}
static inline evy_py *evy_py_attribute(P, evy_py *o, const char *name) {
    return py->PyObject_GetAttrString(o, name);
}
static inline evy_py *evy_py_get_attribute(P, evy_py *o, evy_py *name) {
    return py->PyObject_GetAttr(o, name);
}
static inline evy_py *evy_py_own_attribute(P, evy_py *o, evy_py *name) {
    return py->PyObject_GenericGetAttr(o, name);
}
static inline int evy_py_set_attribute(P, evy_py *o, evy_py *name, evy_py *value) {
    return py->PyObject_SetAttr(o, name, value);
}
static inline evy_py *evy_py_call_tuple(P, evy_py *f, evy_py *args, evy_py *kwargs) {
    return py->PyObject_Call(f, args, kwargs);
}
static inline evy_py *evy_py_call_vector(P, evy_py *f, evy_py *const *args, size_t count) {
    if (py->PyObject_Vectorcall != NULL) return py->PyObject_Vectorcall(f, args, count, NULL);
    evy_py *tuple = py->PyTuple_New((ptrdiff_t)count);
    if (tuple == NULL) return NULL;
    for (size_t i = 0; i < count; i++) {
        py->Py_IncRef(args[i]);
        py->PyTuple_SetItem(tuple, (ptrdiff_t)i, args[i]);
    }
    evy_py *result = py->PyObject_Call(f, tuple, NULL);
    py->Py_DecRef(tuple);
    return result;
}
/* With the arguments up to the first that is NULL. */
static inline evy_py *evy_py_call(P, evy_py *f, evy_py *a, evy_py *b, evy_py *c, evy_py *d) {
    evy_py *const args[4] = {a, b, c, d};
    size_t count = 0;
    while (count < 4 && args[count] != NULL) count++;
    return evy_py_call_vector(py, f, args, count);
}
static inline evy_py *evy_py_iterator(P, evy_py *o) { return py->PyObject_GetIter(o); }
static inline evy_py *evy_py_next(P, evy_py *iterator) { return py->PyIter_Next(iterator); }
static inline int evy_py_is_true(P, evy_py *o) { return py->PyObject_IsTrue(o); }
static inline evy_py *evy_py_occurred(P) { return py->PyErr_Occurred(); }
static inline void evy_py_clear(P) { py->PyErr_Clear(); }
/* The exception under way as an object, with its traceback; none is under way any more. */
static inline evy_py *evy_py_take_exception(P) {
    evy_py *type = NULL, *value = NULL, *traceback = NULL;
    py->PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) return NULL;
    py->PyErr_NormalizeException(&type, &value, &traceback);
    if (value != NULL && traceback != NULL) py->PyException_SetTraceback(value, traceback);
    if (traceback != NULL) py->Py_DecRef(traceback);
    py->Py_DecRef(type);
    return value;
}
static inline void evy_py_unraisable(P, evy_py *where) { py->PyErr_WriteUnraisable(where); }
static inline evy_py *evy_py_copy_dict(P, evy_py *d) { return py->PyDict_Copy(d); }
static inline int evy_py_set_item(P, evy_py *d, evy_py *k, evy_py *v) { return py->PyDict_SetItem(d, k, v); }
static inline evy_py *evy_py_get_item(P, evy_py *d, evy_py *k) { return py->PyDict_GetItemWithError(d, k); }
static inline evy_py *evy_py_empty_list(P) { return py->PyList_New(0); }
static inline ptrdiff_t evy_py_list_count(P, evy_py *l) { return py->PyList_Size(l); }
static inline evy_py *evy_py_list_item(P, evy_py *l, ptrdiff_t i) { return py->PyList_GetItem(l, i); }
static inline evy_py *evy_py_new_tuple(P, ptrdiff_t count) { return py->PyTuple_New(count); }
static inline ptrdiff_t evy_py_tuple_count(P, evy_py *t) { return py->PyTuple_Size(t); }
static inline evy_py *evy_py_tuple_item(P, evy_py *t, ptrdiff_t i) { return py->PyTuple_GetItem(t, i); }
/* A call with an array of arguments as one with a tuple and a dictionary. */
static inline evy_py *evy_py_call_packed(P, evy_py_call_slot call, evy_py *f, evy_py *const *args,
                                         size_t flagged, evy_py *names) {
    ptrdiff_t count = (ptrdiff_t)(flagged & ~((size_t)1 << (8 * sizeof(size_t) - 1)));
    ptrdiff_t named = names == NULL ? 0 : py->PyTuple_Size(names);
    evy_py *tuple = py->PyTuple_New(count), *dict = named > 0 ? py->PyDict_New() : NULL;
    int is_whole = tuple != NULL && (named == 0 || dict != NULL);
    for (ptrdiff_t i = 0; is_whole && i < count; py->PyTuple_SetItem(tuple, i, args[i]), i++)
        py->Py_IncRef(args[i]);
    for (ptrdiff_t i = 0; is_whole && i < named; i++)
        is_whole = py->PyDict_SetItem(dict, py->PyTuple_GetItem(names, i), args[count + i]) == 0;
    evy_py *result = is_whole ? call(f, tuple, dict) : NULL;
    if (tuple != NULL) py->Py_DecRef(tuple);
    if (dict != NULL) py->Py_DecRef(dict);
    return result;
}
/* Takes the reference. */
static inline void evy_py_set_tuple_item(P, evy_py *t, ptrdiff_t i, evy_py *o) {
    py->PyTuple_SetItem(t, i, o);
}
static inline evy_py *evy_py_new_bytes(P, const void *start, ptrdiff_t count) {
    return py->PyBytes_FromStringAndSize((const char *)start, count);
}
static inline int evy_py_bytes(P, evy_py *o, char **start, ptrdiff_t *count) {
    return py->PyBytes_AsStringAndSize(o, start, count);
}
static inline evy_py *evy_py_latin1(P, const void *start, ptrdiff_t count) {
    return py->PyUnicode_DecodeLatin1(count == 0 ? "" : (const char *)start, count, NULL);
}
static inline evy_py *evy_py_interned(P, const char *text) { return py->PyUnicode_InternFromString(text); }
static inline const char *evy_py_utf8(P, evy_py *o, ptrdiff_t *count) {
    return py->PyUnicode_AsUTF8AndSize(o, count);
}
static inline evy_py *evy_py_number(P, void *pointer) { return py->PyLong_FromVoidPtr(pointer); }

/* Numbers of slots and flags, as in typeslots.h and object.h: part of the stable ABI. */
enum {
    EVY_PY_CALL = 50,
    EVY_PY_DEALLOC = 52,
    EVY_PY_DOC = 56,
    EVY_PY_GETATTRO = 58,
    EVY_PY_SETATTRO = 69,
    EVY_PY_MEMBERS = 72,
    EVY_PY_SIZE = 19, /* T_PYSSIZET, of members */
    /* Py_TPFLAGS_HAVE_VERSION_TAG; and, of 3.10 and later, Py_TPFLAGS_DISALLOW_INSTANTIATION */
    EVY_PY_TYPE_FLAGS = 1 << 18 | 1 << 7,
    EVY_PY_HAVE_VECTOR_CALL = 1 << 11
};

enum { EVY_PY_REASON_MAX = 47, EVY_PY_BLOCK_MAX = 1024 };

/* What start_response is: the head of the object, and what it stands for while its request is there. */
typedef struct {
    evy_py head;
    evy_py_vector_call call;
    void *bridge, *exchange; /* NULL: the request is over */
    void *thread;            /* the handler's, as a number */
    evy_py *write;           /* a function below; lent, as long as the request is there */
    evy_py *environ;
    evy_py *response;     /* the Python object that has taken over; NULL: none has */
    uint32_t block_count; /* of the fields as one block, see `block` */
    int32_t status_code;  /* what start_response was called with; 0: not yet */
    int64_t content_length; /* of the fields; -1: none */
    uint8_t has_begun;      /* the library has sent the head, and streams */
    char reason[EVY_PY_REASON_MAX + 1];
    char block[EVY_PY_BLOCK_MAX];
} evy_py_request;

/* A function that a request puts into environ. */
typedef struct {
    evy_py head;
    evy_py *request;
    evy_py *name;
} evy_py_function;

static inline char *evy_py_request_reason(evy_py_request *r) { return r->reason; }
static inline char *evy_py_request_block(evy_py_request *r) { return r->block; }
/* All but the head of the object. */
static inline void evy_py_request_clear(evy_py_request *r) {
    memset((char *)r + sizeof r->head, 0, offsetof(evy_py_request, block) - sizeof r->head);
}

/* The objects that a request's environ has of its own, and how many templates hold them as well.  The order
 * in templates: hooks, input, input, functions. */
enum { EVY_PY_FUNCTION_COUNT = 4 };
typedef struct {
    evy_py *request, *write, *hooks, *input, *functions[EVY_PY_FUNCTION_COUNT];
    uint32_t templates;
    uint32_t is_tainted; /* templates may be wrong */
} evy_py_kit;

static inline evy_py **evy_py_kit_functions(evy_py_kit *kit) { return kit->functions; }
static inline evy_py *evy_py_kit_value(evy_py_kit *kit, uint32_t index) {
    return index == 0 ? kit->hooks : index < 3 ? kit->input : kit->functions[index - 3];
}
/* Only the lower half counts: newer versions keep flags in the upper one. */
static inline int evy_py_has_count(const evy_py *o, uint32_t count) {
    return o != NULL && (uint32_t)o->refcount == count;
}
/* 1: complete, and nobody but the bridge has any of them, and there are no hooks. */
static inline int evy_py_kit_is_free(P, const evy_py_kit *kit) {
    uint32_t shared = 1 + kit->templates;
    for (int i = 0; i < EVY_PY_FUNCTION_COUNT; i++)
        if (!evy_py_has_count(kit->functions[i], shared)) return 0;
    /* The request is held by its functions, the input and the kit. */
    return !kit->is_tainted && evy_py_has_count(kit->write, 1) && evy_py_has_count(kit->hooks, shared) &&
           evy_py_has_count(kit->input, 1 + 2 * kit->templates) &&
           evy_py_has_count(kit->request, EVY_PY_FUNCTION_COUNT + 3) && py->PyList_Size(kit->hooks) == 0;
}

/* What start_response was last called with, by identity, and what became of it: str cannot change, and
 * most applications say the same constants again and again. */
enum { EVY_PY_START_PAIRS = 8 };
typedef struct {
    evy_py *status, *texts[2 * EVY_PY_START_PAIRS]; /* name, value, name, value ...; all held */
    uint32_t count;                                 /* of texts */
    uint32_t block_count;
    int32_t status_code;
    int64_t content_length;
    char reason[EVY_PY_REASON_MAX + 1];
    char block[EVY_PY_BLOCK_MAX];
} evy_py_start;

/* The text at a place of headers, or NULL where that is no tuple of two. */
static inline evy_py *evy_py_pair_text(P, evy_py *headers, uint32_t index) {
    evy_py *pair = py->PyList_GetItem(headers, (ptrdiff_t)(index / 2));
    if (pair == NULL || pair->type != py->tuple_type || py->PyTuple_Size(pair) != 2) return NULL;
    return py->PyTuple_GetItem(pair, index % 2);
}
/* 1: the very same objects as last time; the request has its block. */
static inline int evy_py_recall_start(P, const evy_py_start *memo, evy_py *status, evy_py *headers,
                                      evy_py_request *request) {
    if (memo->status != status || status == NULL || headers->type != py->list_type ||
        py->PyList_Size(headers) * 2 != (ptrdiff_t)memo->count)
        return 0;
    for (uint32_t i = 0; i < memo->count; i++)
        if (evy_py_pair_text(py, headers, i) != memo->texts[i]) return 0;
    request->status_code = memo->status_code;
    request->content_length = memo->content_length;
    request->block_count = memo->block_count;
    memcpy(request->reason, memo->reason, sizeof memo->reason);
    memcpy(request->block, memo->block, memo->block_count);
    return 1;
}
static inline void evy_py_forget_start(P, evy_py_start *memo) {
    if (memo->status == NULL) return;
    evy_py *status = memo->status;
    memo->status = NULL;
    for (uint32_t i = 0; i < memo->count; i++) py->Py_DecRef(memo->texts[i]);
    py->Py_DecRef(status);
}
/* headers were encoded into request, so they are a list of pairs of str. */
static inline void evy_py_keep_start(P, evy_py_start *memo, evy_py *status, evy_py *headers,
                                     const evy_py_request *request) {
    ptrdiff_t pairs = py->PyList_Size(headers);
    evy_py_forget_start(py, memo);
    if (pairs > EVY_PY_START_PAIRS) return;
    memo->count = (uint32_t)pairs * 2;
    for (uint32_t i = 0; i < memo->count; i++) {
        memo->texts[i] = evy_py_pair_text(py, headers, i);
        py->Py_IncRef(memo->texts[i]);
    }
    py->Py_IncRef(status);
    memo->status = status;
    memo->status_code = request->status_code;
    memo->content_length = request->content_length;
    memo->block_count = request->block_count;
    memcpy(memo->reason, request->reason, sizeof memo->reason);
    memcpy(memo->block, request->block, request->block_count);
}

typedef evy_py *(*evy_py_attribute_slot)(evy_py *, evy_py *);
typedef int (*evy_py_set_attribute_slot)(evy_py *, evy_py *, evy_py *);
typedef void (*evy_py_dealloc_slot)(evy_py *);

static inline evy_py *evy_py_make_request_type(P, evy_py_call_slot call, evy_py_attribute_slot attribute,
                                               evy_py_set_attribute_slot set_attribute,
                                               evy_py_dealloc_slot dealloc) {
    static const evy_py_member members[] = {
        {"__vectorcalloffset__", EVY_PY_SIZE, offsetof(evy_py_request, call), 1, NULL},
        {NULL, 0, 0, 0, NULL}};
    evy_py_slot slots[] = {{EVY_PY_CALL, (void *)call},
                           {EVY_PY_MEMBERS, (void *)members},
                           {EVY_PY_GETATTRO, (void *)attribute},
                           {EVY_PY_SETATTRO, (void *)set_attribute},
                           {EVY_PY_DEALLOC, (void *)dealloc},
                           {EVY_PY_DOC, (void *)"start_response of PEP 3333, for one request."},
                           {0, NULL}};
    evy_py_spec spec = {"evy.web._bridge.StartResponse", sizeof(evy_py_request), 0,
                        EVY_PY_TYPE_FLAGS | EVY_PY_HAVE_VECTOR_CALL, slots};
    return py->PyType_FromSpec(&spec);
}
static inline evy_py *evy_py_make_function_type(P, evy_py_call_slot call, evy_py_dealloc_slot dealloc) {
    evy_py_slot slots[] = {{EVY_PY_CALL, (void *)call},
                           {EVY_PY_DEALLOC, (void *)dealloc},
                           {EVY_PY_DOC, (void *)"A function of environ, for one request."},
                           {0, NULL}};
    evy_py_spec spec = {"evy.web._bridge.Function", sizeof(evy_py_function), 0, EVY_PY_TYPE_FLAGS, slots};
    return py->PyType_FromSpec(&spec);
}
#undef P
#endif
