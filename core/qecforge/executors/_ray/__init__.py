"""Runs as tasks of a Ray cluster.

Workers see neither the store nor each other's disks. What a run asks of the process that is responsible for it (its
store, locks, checkpoints; see `qecforge.runs.workspace`) goes as a letter to the mailbox, an actor beside the driver;
the driver takes the letters, does what they ask, and answers.

    options.py    what a user may choose, and the cluster
    driver.py     `RayExecutor`: which run is begun when, and what becomes of those whose worker is lost
    desk.py       the driver's answers
    mailbox.py    the actor
    channel.py    the worker's end: letters and answers
    workspace.py  the worker's store, locks and checkpoints, each the driver's
    worker.py     the task that carries out a run
    shots.py      chunks of shots as tasks
"""
