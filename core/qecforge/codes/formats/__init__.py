"""Import and export of codes by format name. Each format has one grammar; what has two readings is refused, and both
named.

| format | text |
| --- | --- |
| `paulis` | one generator a line: `-XZZXI`, `X Z Z X I` or `X0*Z1`; lists of them as JSON, stim and qiskit print |
| `json` | one object with n, k, generators and logical operators |
| `stim` | an encoding circuit; n and k stand in a comment |
| `qasm2`, `qasm3` | the same in OpenQASM 2 and 3, with the gates that the file itself defines |
| `alist` | the check matrix of 2n columns [X | Z] in MacKay's format; `css_to_alist` writes hx and hz apart |
| `check_matrix` | one generator a line, `10010|01100`; what numpy, scipy, JSON, MATLAB and codetables.de print |
| `mtx` | the check matrix in Matrix Market's format |
| `npy`, `npz` | the check matrix in a file of numpy, or of scipy's sparse matrices; read only |

Comments begin with `#`, `//` or `%`; lines may be numbered. A matrix is [X | Z]; `load_css` reads hx and hz as a pair.
"""

from __future__ import annotations

from qecforge.codes.formats._dump import css_to_alist, dump_code
from qecforge.codes.formats._load import css_from_alist, load_code, load_css
from qecforge.codes.formats._source import CodeFormat, ReadableFormat

__all__ = [
    "CodeFormat",
    "ReadableFormat",
    "css_from_alist",
    "css_to_alist",
    "dump_code",
    "load_code",
    "load_css",
]
