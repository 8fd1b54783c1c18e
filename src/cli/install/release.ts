import { createHash } from 'node:crypto';
import {
	chmodSync,
	cpSync,
	existsSync,
	readdirSync,
	readFileSync,
	realpathSync,
	renameSync,
	rmSync,
	statSync,
	utimesSync,
} from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasCodeCaches, isCodeCache } from '../../system/program/load-program.js';
import { command, exists, link, type Step } from './steps.js';

/** What goes onto a host and into packages as it is in the repository. */
export const documentParts = ['systemd', 'config', 'src/manual', 'README.md', 'SECURITY.md', 'CHANGELOG.md', 'LICENSE'];
/** What of the program's folder goes onto a host, beside the libraries. */
const parts = [
	...['dist/src', 'package.json', ...documentParts],
	// Which libraries it runs with: the first in a clone, the others in a package.
	...['package-lock.json', 'sbom.json', 'licences.txt'],
];
/** Releases kept for going back, and for processes that still run from one. */
const releasesKept = 3;

/** The folder that holds package.json, dist and systemd of the program that runs now. */
export const programFolder = fileURLToPath(new URL('../../../../', import.meta.url)).replace(/\/$/, '');

/**
 * Puts the program that runs now into a folder of its own below `releases`, and points `place` at it. A process that was
 * started from an earlier one goes on loading its own files, whatever the link says.
 */
export function programSteps(place: string, releases: string): Step[] {
	if (exists(place) && realpathSync(place) === realpathSync(programFolder)) return [codeCaches(realpathSync(place))];
	const release = join(releases, `${programVersion()}-${digestOf(programFolder)}`);
	const pointed = link(place, release);
	return [
		{
			text: `cp -r ${programFolder} ${release}`,
			isDone: () => exists(release),
			act: () => copyProgram(release),
		},
		codeCaches(release),
		{ ...pointed, act: () => pointAt(release, pointed) },
		{
			text: `remove all but the last ${releasesKept} releases below ${releases}`,
			isDone: () => superfluous(releases, release).length === 0,
			act: () => {
				for (const old of superfluous(releases, release)) rmSync(old, { recursive: true });
			},
		},
	];
}

/** For the Node that runs this: after another one was installed, the same command makes them anew. */
function codeCaches(release: string): Step {
	const writer = join(release, 'dist/src/system/program/write-code-cache.js');
	return command([process.execPath, writer], () => exists(writer) && hasCodeCaches(join(release, 'dist/src/bundle')));
}

/** Its date says from then on when it was last put in place: a release that one goes back to is not the oldest. */
async function pointAt(release: string, pointed: Step): Promise<void> {
	await pointed.act();
	utimesSync(release, new Date(), new Date());
}

function copyProgram(release: string): void {
	const fresh = `${release}.new`;
	rmSync(fresh, { recursive: true, force: true });
	for (const part of parts) {
		const from = join(programFolder, part);
		if (existsSync(from)) cpSync(from, join(fresh, part), { recursive: true, preserveTimestamps: true });
	}
	const left = developmentPackages();
	cpSync(realpathSync(join(programFolder, 'node_modules')), join(fresh, 'node_modules'), {
		recursive: true,
		verbatimSymlinks: true,
		filter: (from) => {
			const inside = relative(realpathSync(join(programFolder, 'node_modules')), from);
			return !left.has(join('node_modules', inside)) && basename(from) !== '.bin';
		},
	});
	chmodSync(join(fresh, 'dist/src/main.js'), 0o755);
	renameSync(fresh, release);
}

/** Folders of packages that only development needs, by the lock file; none where there is no lock file. */
function developmentPackages(): Set<string> {
	const path = join(programFolder, 'package-lock.json');
	if (!existsSync(path)) return new Set();
	const { packages } = JSON.parse(readFileSync(path, 'utf8')) as {
		packages: Record<string, { dev?: boolean; devOptional?: boolean }>;
	};
	return new Set(Object.keys(packages).filter((key) => packages[key]?.dev || packages[key]?.devOptional));
}

/** Releases to remove: those put in place longest ago, but none that a worker runs from, however often the host was upgraded since. */
export function superfluous(releases: string, current: string): string[] {
	if (!existsSync(releases)) return [];
	const byAge = readdirSync(releases, { withFileTypes: true })
		.filter((entry) => entry.isDirectory())
		.map(({ name }) => join(releases, name))
		.filter((path) => path !== current && !path.endsWith('.new'))
		.sort((one, other) => statSync(one).mtimeMs - statSync(other).mtimeMs);
	const old = byAge.slice(0, Math.max(0, byAge.length - (releasesKept - 1)));
	if (old.length === 0) return [];
	const environments = environmentsOfProcesses();
	return old.filter((path) => !environments.some((text) => text.includes(`${path}/`)));
}

/** A worker's environment names the files of its host's release that are preloaded at its start. */
function environmentsOfProcesses(): string[] {
	return readdirSync('/proc')
		.filter((name) => /^\d+$/.test(name))
		.flatMap((pid) => {
			try {
				return [readFileSync(join('/proc', pid, 'environ'), 'utf8')];
			} catch {
				// It has ended, or is not ours to look at, which happens in a dry run alone.
				return [];
			}
		});
}

export function programVersion(): string {
	return (JSON.parse(readFileSync(join(programFolder, 'package.json'), 'utf8')) as { version: string }).version;
}

/** Whether a file is a part of the program: a code cache is what one Node has compiled of it. */
export const isOfProgram = (path: string): boolean => !isCodeCache(path);

/** Two builds of one version are two releases, and so is one build with other libraries. */
function digestOf(program: string): string {
	const hash = createHash('sha256');
	for (const part of parts) {
		const root = join(program, part);
		if (!existsSync(root)) continue;
		for (const path of filesOf(root).filter(isOfProgram))
			hash.update(relative(program, path)).update(readFileSync(path));
	}
	return hash.digest('hex').slice(0, 12);
}

function filesOf(path: string): string[] {
	if (!statSync(path).isDirectory()) return [path];
	return readdirSync(path, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.sort();
}
