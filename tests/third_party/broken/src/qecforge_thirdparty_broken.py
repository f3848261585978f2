"""A plugin that needs what nobody has."""

import a_library_that_nobody_has  # noqa: F401
