"""README's table of goals and what was reached: `python -m benchmarks.core_table`.

schedule.py          parts of the table -> jobs in phases
lesson_settings.py   budgets, practice seeds and faults of its lessons
job_bodies.py        what each job teaches or measures
standalone.py        the jobs that need no lesson
fault_outcome.py     how a damaged run ended
rows*.py             from measured figures to rows with goals
table.py             does the jobs, writes table.md and table.json
"""
