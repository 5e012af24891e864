// Which images are shown, and in which order.
export const ALL = "all";

const byName = new Intl.Collator(undefined, { numeric: true }).compare;

export function viewsOf(project) {
  const { learnt } = project;
  const used = [...project.items].filter(([, item]) => !item.dropped);
  const unlabelled = used.filter(([, item]) => !item.labels.length).map(([name]) => name);
  const still = new Set(unlabelled);
  const views = [
    { id: ALL, title: "All images", names: used.map(([name]) => name).sort(byName) },
    { id: "unlabelled", title: "Without a label", names: bySureness(unlabelled, learnt.guesses) },
    { id: "next", title: "Label these next", names: learnt.next.filter((name) => still.has(name)) },
    {
      id: "alike",
      title: "Without a label, by likeness",
      names: learnt.alike.flat().filter((name) => still.has(name)),
    },
    {
      id: "doubts",
      title: "Labels to review",
      names: learnt.doubts
        .filter((doubt) => project.items.get(doubt.image)?.labels[0] === doubt.label)
        .map((doubt) => doubt.image),
    },
    ...project.classes.map((name) => ({
      id: `class:${name}`,
      title: name,
      label: name,
      names: used
        .filter(([, item]) => item.labels.includes(name))
        .map(([image]) => image)
        .sort(byName),
    })),
    { id: "problems", title: "Cannot be read", names: Object.keys(project.problems).sort(byName) },
    {
      id: "dropped",
      title: "Left out",
      names: [...project.items]
        .filter(([, item]) => item.dropped)
        .map(([name]) => name)
        .sort(byName),
    },
  ];
  return views;
}

// By what the model takes them for, the surest first.
function bySureness(names, guesses) {
  const rank = (name) => guesses[name] ?? ["", 0];
  return names.sort((a, b) => {
    const [first, second] = [rank(a), rank(b)];
    return byName(first[0], second[0]) || second[1] - first[1] || byName(a, b);
  });
}
