import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RealNode } from './nodes.js';

/** Where a release of this revision lies on the node. */
export const pathOf = (node: RealNode, revision: string): string => join(node.folder, revision, 'server.js');

/** Brings a release to the node and points its link `current` there, as a deployment does. */
export function deploy(node: RealNode, revision: string, text: string): void {
	mkdirSync(join(node.folder, revision), { recursive: true });
	writeFileSync(pathOf(node, revision), text);
	writeFileSync(join(node.folder, revision, 'REVISION'), `${revision}\n`);
	symlinkSync(revision, join(node.folder, 'next'));
	renameSync(join(node.folder, 'next'), join(node.folder, 'current'));
}
