"""The argmax-preserving quantization paper: its experiments, tables and figures."""
