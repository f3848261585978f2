"""What is measured of runs that are finished."""
