// As Sphinx counts, but with each reader's first page before the others, and records of decisions and the like behind them.
const FIRST = /^(producers|consumers|admins|production)$/;
const LAST = /^(decisions|project)\//;
var Scorer = {
  score: ([docname, title, anchor, descr, score]) => score + (FIRST.test(docname) ? 5 : 0) - (LAST.test(docname) ? 20 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
