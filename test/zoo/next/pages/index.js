export async function getServerSideProps() {
	return { props: { pid: process.pid } };
}

export default function Home({ pid }) {
	return <p>{JSON.stringify({ pid })}</p>;
}
