/** What a rollout or a plan changes of releases, in text. */
import type { NodeReleases, RolloutPlan, RolloutView } from '../../rollout/types.js';
import type { Release } from '../../workers/types.js';
import { shortRevision } from './format.js';
import { clean } from './terminal.js';

/** `web 3f786850e387 -> 89e6c98d9288`, an app after the other; null where nothing is known. */
export function releaseChange(releases: NodeReleases | undefined): string | null {
	const before = new Map(Object.entries(releases?.before ?? {}));
	const after = new Map(Object.entries(releases?.after ?? {}));
	const isOver = releases?.after !== null;
	const texts = [...new Set([...before.keys(), ...after.keys()])].map((app) => {
		const [old, next] = [before.get(app), after.get(app)];
		const [from, to] = labels(old, next);
		if (!isOver) return `${clean(app)} ${from}`;
		return from === to ? `${clean(app)} ${to}, as before` : `${clean(app)} ${from} -> ${to}`;
	});
	return texts.join('; ') || null;
}

/** By their revisions; by their paths where these do not tell them apart. */
function labels(before: Release | undefined, after: Release | undefined): [string, string] {
	const [from, to] = [label(before), label(after)];
	if (from !== to || !before || !after || before.path === after.path) return [from, to];
	return [clean(before.path), clean(after.path)];
}

function label(release: Release | undefined): string {
	if (!release) return 'none';
	return clean(shortRevision(release.revision) ?? release.path);
}

/** The releases that the nodes of a rollout run after it, each once. */
export function releasesAfter({ nodes }: RolloutView): string | null {
	const after = nodes.flatMap(({ release }) => Object.values(release?.after ?? {}));
	return [...new Set(after.map(label))].join(', ') || null;
}

/** From what to what, a line a node. */
export function planReleases({ release = {} }: RolloutPlan): string[] {
	return Object.entries(release).flatMap(([node, releases]) => {
		const text = releaseChange(releases);
		return text === null ? [] : [`${clean(node)}: ${text}`];
	});
}
