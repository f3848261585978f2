"""From floats to integers: observers, step sizes, fake quantisation, conversion."""
