// As Sphinx counts, but for records of decisions and the like, which come behind the pages that people act by.
var Scorer = {
  score: ([docname, title, anchor, descr, score]) => (/^(decisions|project)\//.test(docname) ? score - 20 : score),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
