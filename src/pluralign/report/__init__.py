"""The report: charts and the single self-contained HTML page that a study ends in.

findings --> sentences   what the numbers say, in words
         --> chart_data --> charts --> svg   static pictures, in two widths
         --> page        templates and style, all in one file
"""

from __future__ import annotations

from pluralign.report.page import study_page, write_study_page

__all__ = ["study_page", "write_study_page"]
