/** What the control plane asks a worker host about releases, and what it believes of the answer. */
import { revisionText } from '../host/revision-text.js';
import type { Release } from '../types.js';

/** The variable of a process that has the revision that its script had when the process was forked. */
export const revisionVariable = 'rollcall_revision';

/** As long as a path can be. */
export const pathCharactersMax = 4_096;
/** As many apps as one user can have, by far. */
const scriptsMax = 256;

/** What workers of these scripts would be started from now. */
export interface ReleaseQuestion {
	scripts: readonly string[];
	/** The working folder of each; a host of an earlier version looks at the scripts alone. */
	cwds?: readonly string[];
}

export function isReleaseQuestion(request: unknown): request is ReleaseQuestion {
	const { scripts, cwds = [] } = (typeof request === 'object' && request !== null ? request : {}) as Partial<
		Record<keyof ReleaseQuestion, unknown>
	>;
	return arePaths(scripts) && arePaths(cwds);
}

const arePaths = (value: unknown): boolean => Array.isArray(value) && value.length <= scriptsMax && value.every(isPath);

const isPath = (value: unknown): value is string => typeof value === 'string' && value.length <= pathCharactersMax;

/** A release as its host sees it. */
export interface SeenRelease extends Release {
	/** The app's user may read its script, or execute it. */
	readable: boolean;
}

/** One for each script, in their order. A host of an earlier version knows none. */
export function readReleases(answer: unknown, scripts: readonly string[]): SeenRelease[] {
	const { releases } = (answer ?? {}) as { releases?: unknown };
	const told: readonly unknown[] = Array.isArray(releases) ? releases : [];
	return scripts.map((script, index) => {
		const { path, revision, readable } = (told[index] ?? {}) as Partial<Record<keyof SeenRelease, unknown>>;
		return { path: isPath(path) ? path : script, revision: revisionText(revision), readable: readable !== false };
	});
}
