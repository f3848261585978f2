"""How detection rates of candidates are had: in closed form, or sampled by stim."""
