/** What the words of a page mean in a fleet, each as the page has it. */
export type Phrases = Readonly<Record<string, () => unknown>>;

/** What stands between two phrases. */
const between = /^(?:[\s.,;:]|and |or |then )+/;

/** Does what a text says, phrase by phrase in its order; throws at the first that has no meaning here, so that a changed page is noticed. */
export async function follow(text: string, phrases: Phrases): Promise<void> {
	const longestFirst = Object.keys(phrases).sort((one, other) => other.length - one.length);
	let rest = text.replace(/\s+/g, ' ');
	for (;;) {
		rest = rest.replace(between, '');
		if (rest === '') return;
		const phrase = longestFirst.find((words) => rest.startsWith(words));
		if (phrase === undefined) throw new Error(`the page says "${rest.slice(0, 80)}", which this scene cannot do`);
		rest = rest.slice(phrase.length);
		await phrases[phrase]?.();
	}
}
