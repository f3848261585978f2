"""Schema history. `env.py` is what alembic runs; `versions/` holds one module a revision; `qecforge.store._schema`
drives both. A new revision: `alembic -c core/qecforge/store/migrations/alembic.ini revision --autogenerate -m ...`.
"""
