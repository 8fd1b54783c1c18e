/**
 * Node sends descriptors between processes only over the channel that a parent makes for its child. Two processes that
 * are no relatives need the same pipe over a path; Node has it, without documenting it.
 */
interface PipeHandle {
	fd: number;
	pendingHandle?: unknown;
	onread(data: ArrayBuffer | undefined): void;
	onconnection(status: number, client: PipeHandle): void;
	bind(path: string): number;
	listen(backlog: number): number;
	open(fd: number): number | undefined;
	connect(request: Completion, path: string): number;
	readStart(): number;
	readStop(): number;
	writeUtf8String(request: Completion, text: string, handle: unknown): number;
	close(): void;
}

interface Completion {
	oncomplete(status: number): void;
}

interface PipeInternals {
	Pipe: new (kind: number) => PipeHandle;
	PipeConnectWrap: new () => Completion;
	WriteWrap: new () => Completion;
	constants: { SOCKET: number; SERVER: number; IPC: number };
}

/** Throws where this Node has it no more. */
function pipeInternals(): PipeInternals {
	const { binding } = process as unknown as { binding(name: string): Partial<PipeInternals> };
	const { Pipe, PipeConnectWrap, constants } = binding.call(process, 'pipe_wrap');
	const { WriteWrap } = binding.call(process, 'stream_wrap');
	if (!Pipe || !PipeConnectWrap || !constants || !WriteWrap) {
		throw new Error(`Node ${process.version} offers no pipe for descriptors`);
	}
	return { Pipe, PipeConnectWrap, WriteWrap, constants };
}

export = pipeInternals;
