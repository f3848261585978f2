"""What tests of tasks may import: checks that raise `AssertionError` with a plain reason.

They run in the judge's process, on values that were rebuilt. `circuits` needs Qiskit alone (and Aer for
noise), `qec` what is known of stabilizer codes.
"""
