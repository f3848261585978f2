"""The surface-code steering paper: its experiments, tables and figures."""
