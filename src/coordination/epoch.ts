/** Fencing tokens: ordered by counter, then by the name of the node that made them. */

export type NodeName = string;

/** Fencing token of a coordinator. Written `4@alpha`. */
export interface Epoch {
	counter: number;
	node: NodeName;
}

/** Of what a coordinator has stored. `n` counts the changes under one epoch; null: stored by a node for itself alone. */
export interface Version {
	epoch: Epoch | null;
	n: number;
}

export const zeroEpoch: Epoch = { counter: 0, node: '' };

/** Negative when a is lower, 0 when equal, positive when higher. */
export function compareEpochs(a: Epoch, b: Epoch): number {
	if (a.counter !== b.counter) return a.counter - b.counter;
	return a.node < b.node ? -1 : a.node > b.node ? 1 : 0;
}

export function sameEpoch(a: Epoch | null, b: Epoch | null): boolean {
	return a === b || (a !== null && b !== null && a.counter === b.counter && a.node === b.node);
}

/** `4@alpha` */
export function textOfEpoch(epoch: Epoch): string {
	return `${epoch.counter}@${epoch.node}`;
}

export function compareVersions(a: Version, b: Version): number {
	return compareEpochs(a.epoch ?? zeroEpoch, b.epoch ?? zeroEpoch) || a.n - b.n;
}
