"""Evaluations: how a model stands to populations, processes and people. Each is data, a context and measures, in one file.

    asking        questions of a task -> records: all that the model said, a row each, with what came of the request
    measuring     records -> items: values of measures, a row for each item and measure
                  records -> findings: estimates with a floor and a ceiling

Measuring needs no model: it can be done anew from the records of a run (`rescore`), and two runs are compared by their items.
"""
