// Which images are shown, and in which order.
export const ALL = "all";

export function viewsOf(project) {
  const { learnt, items } = project;
  const used = project.names.filter((name) => !items.get(name).dropped);
  const unlabelled = used.filter((name) => !items.get(name).labels && !(name in project.problems));
  const still = new Set(unlabelled);
  const groups = learnt.alike.map((names) => names.filter((name) => still.has(name)));
  const members = new Map(project.classes.map((name) => [name, []]));
  for (const name of used) for (const label of items.get(name).labels ?? []) members.get(label)?.push(name);
  return [
    { id: ALL, title: "All images", names: used },
    { id: "unlabelled", title: "Without a label", names: bySureness(unlabelled, learnt.guesses) },
    { id: "next", title: "Label these next", names: learnt.next.filter((name) => still.has(name)) },
    { id: "alike", title: "Without a label, by likeness", groups: groups.filter(({ length }) => length) },
    // An image may have several doubtful labels.
    { id: "doubts", title: "Labels to review", names: [...new Set(doubtsOf(project).map(({ image }) => image))] },
    { id: "copies", title: "Copies to review", names: copiesOf(project).flat() },
    ...project.classes.map((name) => ({ id: `class:${name}`, title: name, label: name, names: members.get(name) })),
    ...(project.kind === "single"
      ? []
      : [{ id: "none", title: "None of the classes", names: used.filter((name) => items.get(name).labels?.length === 0) }]),
    { id: "problems", title: "Cannot be read", names: project.names.filter((name) => name in project.problems) },
    { id: "dropped", title: "Left out", names: project.names.filter((name) => items.get(name).dropped) },
  ].map((view) => ({ ...view, names: view.names ?? view.groups.flat() }));
}

// Labels that the model doubts and nobody has looked at again. Those that are shown stay.
export function doubtsOf({ learnt, items, doubted = [] }) {
  const key = ({ image, about, label }) => `${image}\n${about}\n${label}`;
  const all = new Map([...doubted, ...learnt.doubts].map((doubt) => [key(doubt), doubt]));
  return [...all.values()].filter(({ image, label, about }) => {
    const item = items.get(image);
    if (!item?.labels || item.kept || item.dropped) return false;
    return about ? item.labels.includes(about) === label.endsWith("present") : item.labels[0] === label;
  });
}

// Groups of copies of which a person has not kept all.
export function copiesOf({ learnt, items }) {
  return learnt.duplicates
    .map((names) => names.filter((name) => items.get(name) && !items.get(name).dropped))
    .filter((names) => names.length > 1 && names.some((name) => !items.get(name).kept_copy));
}

// By their predictions, the surest first; names are sorted already.
function bySureness(names, guesses) {
  const rank = (name) => guesses[name] ?? [[], 0];
  const label = (name) => rank(name)[0].join();
  return [...names].sort(
    (a, b) => label(a).localeCompare(label(b)) || rank(b)[1] - rank(a)[1],
  );
}
