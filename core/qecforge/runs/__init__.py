"""One run from start to end: build, train, quantize, evaluate, record, checkpoint, resume."""
