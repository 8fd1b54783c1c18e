/** A copy of the build with the patches of some mutants laid over it, beside the build, so that packages are found. */
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { mutants, type Patch } from './mutants.js';
import type * as World from './world.js';

const build = fileURLToPath(new URL('../../', import.meta.url));
/** What the simulation is made of. */
const folders = ['src', 'test/simulation', 'test/support'];

export interface MutantBuild {
	/** The thread's program of the patched build. */
	readonly poolWorker: URL;
	/** The patched world. */
	world(): Promise<typeof World>;
	remove(): void;
}

/** Lays the patches of these mutants over a copy; throws where one is not found exactly once. */
export function buildMutants(names: readonly string[]): MutantBuild {
	const root = join(build, 'mutants', `${names.join('+')}-${process.pid}`);
	for (const folder of folders) linkAll(folder, root);
	for (const name of names) for (const patch of mutants[name]?.patches ?? []) apply(patch, root);
	const urlOf = (file: string): URL => pathToFileURL(join(root, 'test/simulation', file));
	return {
		poolWorker: urlOf('pool-worker.js'),
		world: () => import(urlOf('world.js').href) as Promise<typeof World>,
		remove: () => rmSync(root, { recursive: true, force: true }),
	};
}

/** The built text of a patch's file, patched. */
export function patched({ file, from, to }: Patch, text: string): string {
	const parts = from.split(/\s+/).map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
	const found = [...text.matchAll(new RegExp(parts.join('\\s+'), 'g'))];
	const [only] = found;
	if (!only || found.length > 1) throw new Error(`${file}: '${from}' stands there ${found.length} times, not once`);
	return `${text.slice(0, only.index)}${to}${text.slice(only.index + only[0].length)}`;
}

export const builtFile = (patch: Patch, root: string = build): string => join(root, 'src', `${patch.file}.js`);

function apply(patch: Patch, root: string): void {
	const file = builtFile(patch, root);
	const text = patched(patch, readFileSync(file, 'utf8'));
	// The file is a link to the build's own: a new one takes its place.
	rmSync(file);
	writeFileSync(file, text);
}

function linkAll(folder: string, root: string): void {
	for (const entry of readdirSync(join(build, folder), { withFileTypes: true })) {
		const path = join(folder, entry.name);
		if (entry.isDirectory()) linkAll(path, root);
		else if (/\.c?js$/.test(entry.name)) {
			mkdirSync(dirname(join(root, path)), { recursive: true });
			linkSync(join(build, path), join(root, path));
		}
	}
}
